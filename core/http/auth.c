/*
 * Who calls /v1: the Authorization header against the configured key hashes. Called on HTTP threads.
 */
#include "http/auth.h"

#include <openssl/sha.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

enum { KEY_MAX = 512 };

const struct config_app *auth_app(const struct config *config, const char *authorization)
{
    static const char scheme[] = "Bearer ";
    if (!authorization || strncasecmp(authorization, scheme, sizeof scheme - 1) != 0)
        return NULL;
    const char *key = authorization + sizeof scheme - 1;
    size_t n = strlen(key);
    if (n == 0 || n > KEY_MAX)
        return NULL;

    unsigned char sum[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *) key, n, sum);
    const struct config_app *found = NULL;
    for (size_t i = 0; i < config->app_count; i++) {
        const struct config_app *app = &config->apps[i];
        for (size_t k = 0; k < app->key_count; k++)
            if (bytes_equal_ct(sum, app->key_sha256[k], sizeof sum))
                found = app;
    }
    return found;
}
