/*
 * core/pay between a real SQLite store and a provider that answers at once, as a script says. One rig per test program.
 */
#ifndef TESTS_UNIT_PAY_RIG_H
#define TESTS_UNIT_PAY_RIG_H

#include "pay/task.h"
#include "unit/unit.h"

struct pay_rig {
    struct store *store;
    struct arena *arena;
    struct pay *pay;
    struct pool *workers;
    struct config config;
    struct config_app app;         /* "a" */
    struct config_channel channel; /* "c", with the products "code" and "form" */
    _Atomic size_t planned, committed, aborted; /* outbox rows */
};
extern struct pay_rig rig;

/* What the provider comes to, by operation. Its answers name the payment and state the amount unless told otherwise. */
struct provider_script {
    int rc[PN_REFRESH + 1];        /* enum pn_rc of the plugin's call; PN_OK */
    uint32_t says[PN_REFRESH + 1]; /* enum pn_state */
    uint32_t says_once_closed;     /* of queries after a close; 0: the same */
    const char *names;             /* another payment; NULL: the one it was asked about */
    bool hides_total;
    bool gives_code;               /* what a PREPAY that is not FAILED comes to */
    void (*meanwhile)(void);       /* once, while the next PREPAY is on its way; it may ask again and script anew */
    int asked[PN_REFRESH + 1];
};
extern struct provider_script provider;
void provider_says(uint32_t state); /* to everything, from now on */

/* For a cmocka group. */
int rig_open(void **state);
int rig_close(void **state);

void rig_write(tx_fn fn, void *arg); /* must succeed; around whatever the test has put before the store */
int64_t rig_id(void);
enum rc rig_make_unpaid(struct tx *tx, void *order, struct error *err);
enum rc rig_make_closing(struct tx *tx, void *order, struct error *err);
enum rc rig_add_record(struct tx *tx, void *order, struct error *err); /* of product "code", unpaid */
enum rc rig_read_order(struct tx *tx, void *order, struct error *err); /* by its order_id */
int64_t rig_scheduled(void); /* rows of the schedule */
struct task_end rig_turn(struct scheduled row); /* task_run of a row that is there and held, as after a claim */
int64_t rig_audits(int64_t pay_no, const char *outcome);

#endif
