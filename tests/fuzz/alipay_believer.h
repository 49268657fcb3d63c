/*
 * An Alipay channel for fuzzing that believes every signature of the right length, so that what lies behind the verification
 * is reached as well: alipay_believer.c stands in for plugins/common/rsa.c.
 */
#ifndef TESTS_FUZZ_ALIPAY_BELIEVER_H
#define TESTS_FUZZ_ALIPAY_BELIEVER_H

#include "unit/plugin_host.h"

/* The opened channel, made at the first call. */
const void *believer(void);

/* The same in certificate mode, with this certificate of Alipay's. */
#define BELIEVER_CERT_SN "c0005c44d3bd2035dce53b18c3452124"
const void *certified_believer(void);

/* Aborts unless the result is one that the host may use. */
void believer_check(const struct pn_result *result);

#endif
