/*
 * Times as WeChat writes them, made from the sandbox's own (text.h). Pure; any thread.
 */
#include <string.h>

#include "text.h"
#include "wechat.h"

static const char shape[] = "0000-00-00 00:00:00";

void wechat_time(int64_t ms, char ret_text[static WECHAT_TIME_SIZE])
{
    char at[BEIJING_SIZE];
    size_t n = 0;
    beijing_text(ms, at);
    for (size_t i = 0; i < sizeof shape - 1; i++)
        if (shape[i] == '0')
            ret_text[n++] = at[i];
    ret_text[n] = '\0';
}

bool wechat_parse_time(const char *text, int64_t *ret_ms)
{
    char at[BEIJING_SIZE];
    size_t n = 0;
    if (strlen(text) != WECHAT_TIME_SIZE - 1)
        return false;
    for (size_t i = 0; i < sizeof shape; i++)
        at[i] = shape[i] == '0' ? text[n++] : shape[i];
    return beijing_parse(at, ret_ms);
}
