/*
 * What an answer says about the refund that it is an answer about, if it is. Called by refund_ask.c and refund_inquire.c, on
 * workers.
 */
#include <string.h>

#include "base/ids.h"
#include "base/text.h"
#include "pay/refund.h"

static struct pn_str str(const char *text)
{
    return (struct pn_str){ text, text ? strlen(text) : 0 };
}

/* What can be stored: an error's text may have been cut inside a character. */
static struct pn_str sound(const char *text)
{
    size_t all = text ? strlen(text) : 0, len = 0;
    for (size_t n; len < all && (n = text_utf8_length(text + len, all - len)) > 0; len += n)
        ;
    return (struct pn_str){ len ? text : NULL, len };
}

static bool names(const struct pn_str *text, int64_t id)
{
    char digits[ID_TEXT_MAX];
    id_format(id, digits);
    return text->len == 0 || (text->len == strlen(digits) && memcmp(text->data, digits, text->len) == 0);
}

static bool is_about(const struct asking *asking, const struct pn_result *result)
{
    const struct refund *refund = &asking->view.refund;
    bool fits = result->refunded_minor == PN_NOT_STATED || result->state != PN_STATE_REFUNDED ||
                result->refunded_minor >= refund->amount_minor;
    return fits && names(&result->pay_no, refund->pay_no) && names(&result->refund_no, refund->refund_no);
}

static enum refund_answer read_result(struct asking *asking, const struct pn_result *result)
{
    if (!is_about(asking, result)) {
        asking->said.message = str("the answer is about another refund");
        return SAYS_NOTHING;
    }
    asking->said = *result;
    switch ((enum pn_state)result->state) {
    case PN_STATE_REFUNDED:
    case PN_STATE_PROCESSING:
    case PN_STATE_FAILED:
        return SAYS_STATE;
    case PN_STATE_NOT_FOUND:
        return SAYS_NOT_FOUND;
    default:
        return SAYS_NOTHING;
    }
}

enum refund_answer refund_answer(struct asking *asking, enum rc rc, const struct pn_result *result, bool called,
                                 const struct error *err)
{
    asking->said = (struct pn_result){ .total_minor = PN_NOT_STATED, .refunded_minor = PN_NOT_STATED };
    if (rc == RC_OK)
        return read_result(asking, result);
    asking->said.message = sound(arena_strdup(asking->arena, err->text));
    if (rc == RC_UNAVAILABLE || (rc == RC_NOMEM && !called))
        return NOT_SENT;
    bool refused = rc == RC_DECLINED || (!called && rc != RC_UNKNOWN);
    return refused ? SAYS_NO : SAYS_NOTHING;
}

void refund_answer_as(struct asking *asking, enum pn_state state)
{
    char digits[ID_TEXT_MAX];
    asking->said.size = sizeof asking->said;
    asking->said.state = state;
    asking->said.pay_no = str(arena_strdup(asking->arena, id_format(asking->view.refund.pay_no, digits)));
    asking->said.refund_no = str(arena_strdup(asking->arena, id_format(asking->view.refund.refund_no, digits)));
}
