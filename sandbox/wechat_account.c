/*
 * The merchant's account at WeChat as the sandbox keeps it: its numbers, the API key in a file, settings that tests change.
 * Opened and freed by main; settings are read and written by handlers on any thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "text.h"
#include "wechat.h"

#define APPID "wx53616e64626f7831"
#define MCH_ID "1900000001"
#define CLOSE_AFTER_MS (INT64_C(5) * 60 * 1000)
#define MWEB_LIFE_MS (INT64_C(5) * 60 * 1000)

static bool is_key(const char *text, ssize_t n)
{
    return n == WECHAT_KEY_LENGTH && text_is_word(text, WECHAT_KEY_LENGTH);
}

static bool make_key(const char *path, char ret_key[static WECHAT_KEY_LENGTH + 1])
{
    wechat_nonce(ret_key);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    bool done = write(fd, ret_key, WECHAT_KEY_LENGTH) == WECHAT_KEY_LENGTH;
    return close(fd) == 0 && done;
}

/* NULL, or what is wrong; the caller frees. */
static char *read_key(const char *dir, char ret_key[static WECHAT_KEY_LENGTH + 1])
{
    char *path = text_format("%s/wechat-key.txt", dir), *wrong = NULL;
    char text[WECHAT_KEY_LENGTH + 2] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t n = read(fd, text, sizeof text - 1);
        close(fd);
        if (is_key(text, n))
            memcpy(ret_key, text, WECHAT_KEY_LENGTH + 1);
        else
            wrong = text_format("%s holds no API key of %d letters and digits", path, WECHAT_KEY_LENGTH);
    } else if (errno != ENOENT || !make_key(path, ret_key)) {
        wrong = text_format("%s cannot be read or written: %s", path, strerror(errno));
    }
    free(path);
    return wrong;
}

struct wechat *wechat_open(const char *dir, char **ret_error)
{
    struct wechat *wechat = need(calloc(1, sizeof *wechat));
    char *wrong = read_key(dir, wechat->api_key);
    pthread_mutex_init(&wechat->lock, NULL);
    wechat_nonce(wechat->stranger_key);
    wechat->appid = text_copy(APPID);
    wechat->mch_id = text_copy(MCH_ID);
    wechat->trades = trades_new();
    wechat->settings = (struct wechat_settings){
        .close_after_ms = CLOSE_AFTER_MS, .mweb_life_ms = MWEB_LIFE_MS, .refund_outcome = REFUND_SUCCESS};
    if (!wrong)
        return wechat;
    *ret_error = wrong;
    wechat_free(wechat);
    return NULL;
}

void wechat_free(struct wechat *wechat)
{
    if (!wechat)
        return;
    trades_free(wechat->trades);
    pthread_mutex_destroy(&wechat->lock);
    free(wechat->appid);
    free(wechat->mch_id);
    free(wechat);
}

struct wechat_settings wechat_settings(const struct sandbox *sandbox)
{
    struct wechat *wechat = sandbox->wechat;
    pthread_mutex_lock(&wechat->lock);
    struct wechat_settings settings = wechat->settings;
    pthread_mutex_unlock(&wechat->lock);
    return settings;
}

void wechat_set(const struct sandbox *sandbox, const struct wechat_settings *settings)
{
    struct wechat *wechat = sandbox->wechat;
    pthread_mutex_lock(&wechat->lock);
    wechat->settings = *settings;
    pthread_mutex_unlock(&wechat->lock);
}
