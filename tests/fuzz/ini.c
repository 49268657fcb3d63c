/*
 * Fuzzes the whole of config_load on a file of any bytes: it may refuse or accept, and what it accepts is typed and
 * complete. Plugins are not found, so no code of theirs runs.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct config *config)
{
    for (size_t i = 0; i < config->app_count; i++)
        if (!config->apps[i].key_count)
            abort();
    if (!config->server.public_url || !config->server.link_key_file || !config->store.shown_url || config->channel_count)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    if (fd < 0 && (fd = memfd_create("fuzz.conf", 0)) < 0)
        abort();
    if (ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != (ssize_t) size)
        abort();
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);

    struct faults faults = { 0 };
    struct config *config = NULL;
    enum rc rc = config_load(path, &faults, &config);
    if ((rc == RC_OK) != (faults.count == 0) || (rc == RC_OK) != (config != NULL))
        abort();
    if (config)
        check(config);
    config_free(config);
    faults_free(&faults);
    return 0;
}
