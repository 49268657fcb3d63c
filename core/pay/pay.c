/*
 * Putting the business together: main makes it, starts it, drains it and frees it.
 */
#include "pay/pay.h"

#include <stdlib.h>

#include "pay/internal.h"
#include "pay/traffic.h"

enum rc pay_new(const struct pay_options *options, struct pay **ret_pay, struct error *err)
{
    struct pay *pay = calloc(1, sizeof *pay);
    if (!pay)
        return error_set(err, RC_NOMEM, "out of memory");
    pay->options = *options;
    pay->config = options->config;
    pay->store = options->store;
    enum rc rc = traffic_new(options->config, &pay->traffic, err);
    if (rc == RC_OK)
        rc = hints_new(options->config, &pay->hints, err);
    if (rc == RC_OK)
        rc = links_open(options->config->server.link_key_file, &pay->links, err);
    if (rc == RC_OK)
        rc = committer_new(pay, &pay->committer, err);
    if (rc == RC_OK)
        rc = follow_up_new(pay, &pay->follow_up, err);
    if (rc) {
        pay_free(pay);
        return rc;
    }
    *ret_pay = pay;
    return RC_OK;
}

enum rc pay_start(struct pay *pay, struct error *err)
{
    enum rc rc = committer_start(pay->committer, err);
    return rc ? rc : follow_up_start(pay->follow_up, err);
}

void pay_drain(struct pay *pay)
{
    follow_up_stop(pay->follow_up);
    committer_drain(pay->committer);
}

void pay_free(struct pay *pay)
{
    if (!pay)
        return;
    follow_up_free(pay->follow_up);
    committer_free(pay->committer);
    links_free(pay->links);
    hints_free(pay->hints);
    traffic_free(pay->traffic);
    free(pay);
}
