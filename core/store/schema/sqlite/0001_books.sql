-- The books. Times are UTC milliseconds, money is minor units, ids are snowflakes made by the server.
-- No column that a settlement changes is in an index or in an index's predicate.

CREATE TABLE orders (
    order_id INTEGER PRIMARY KEY,
    app TEXT NOT NULL,
    out_business_id TEXT NOT NULL,
    user_id TEXT,
    order_type TEXT,
    name TEXT NOT NULL,
    description TEXT,
    amount_minor INTEGER NOT NULL CHECK (amount_minor > 0),
    currency TEXT NOT NULL,
    attach TEXT,
    return_url TEXT,
    status INTEGER NOT NULL,
    refunded_minor INTEGER NOT NULL DEFAULT 0 CHECK (refunded_minor >= 0),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    paid_at INTEGER,
    closed_at INTEGER,
    paid_pay_no INTEGER,
    last_event INTEGER,
    CHECK (refunded_minor <= amount_minor)
) STRICT;
CREATE UNIQUE INDEX orders_open_number ON orders (app, out_business_id) WHERE closed_at IS NULL;
CREATE INDEX orders_number ON orders (out_business_id, order_id);
CREATE INDEX orders_app ON orders (app, order_id);
CREATE INDEX orders_user ON orders (user_id, order_id) WHERE user_id IS NOT NULL;

CREATE TABLE order_goods (
    order_id INTEGER NOT NULL REFERENCES orders,
    line INTEGER NOT NULL,
    goods_id TEXT,
    goods_type TEXT,
    name TEXT,
    detail TEXT,
    price_minor INTEGER NOT NULL,
    quantity INTEGER NOT NULL,
    PRIMARY KEY (order_id, line)
) STRICT, WITHOUT ROWID;

CREATE TABLE pay_records (
    pay_no INTEGER PRIMARY KEY,
    order_id INTEGER NOT NULL REFERENCES orders,
    app TEXT NOT NULL,
    channel TEXT NOT NULL,
    product TEXT NOT NULL,
    amount_minor INTEGER NOT NULL CHECK (amount_minor > 0),
    currency TEXT NOT NULL,
    merchant TEXT,
    status INTEGER NOT NULL,
    trade_no TEXT,
    payer TEXT,
    refunded_minor INTEGER NOT NULL DEFAULT 0 CHECK (refunded_minor >= 0),
    refunding_minor INTEGER NOT NULL DEFAULT 0 CHECK (refunding_minor >= 0), -- reserved, not yet certain
    stated_back_minor INTEGER NOT NULL DEFAULT 0, -- the highest total of refunds that the provider has stated
    paid_at INTEGER,
    idempotency_key TEXT,
    params TEXT,
    prepay TEXT,
    needs_review INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    CHECK (refunded_minor + refunding_minor <= amount_minor)
) STRICT;
CREATE INDEX pay_records_order ON pay_records (order_id);
CREATE INDEX pay_records_app ON pay_records (app, pay_no);
CREATE UNIQUE INDEX pay_records_key ON pay_records (order_id, idempotency_key) WHERE idempotency_key IS NOT NULL;

-- Append only: what happened, from which every format is made.
CREATE TABLE events (
    event_id INTEGER PRIMARY KEY,
    type TEXT NOT NULL,
    app TEXT NOT NULL,
    order_type TEXT,
    order_id INTEGER NOT NULL,
    pay_no INTEGER,
    trade_no TEXT,
    created_at INTEGER NOT NULL,
    data TEXT NOT NULL
) STRICT;
CREATE INDEX events_trade ON events (trade_no) WHERE trade_no IS NOT NULL;

-- Event × sink still to deliver. due_at is also the lease; a chained row waits (due_at = 2^63-1) for its predecessor.
CREATE TABLE outbox (
    event_id INTEGER NOT NULL,
    sink TEXT NOT NULL,
    order_id INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    claim INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    waits_for INTEGER,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (event_id, sink)
) STRICT, WITHOUT ROWID;
CREATE INDEX outbox_due ON outbox (sink, due_at);
CREATE INDEX outbox_waits ON outbox (waits_for, sink) WHERE waits_for IS NOT NULL;

-- Append only, one row per finished delivery.
CREATE TABLE delivery_history (
    event_id INTEGER NOT NULL,
    sink TEXT NOT NULL,
    order_id INTEGER NOT NULL,
    delivered INTEGER NOT NULL, -- 0: dead letter
    attempts INTEGER NOT NULL,
    reason TEXT,
    created_at INTEGER NOT NULL,
    finished_at INTEGER NOT NULL
) STRICT;

-- What providers told us and what was decided, for every outcome other than applied (that one is the event).
CREATE TABLE notify_audit (
    audit_id INTEGER PRIMARY KEY,
    channel TEXT NOT NULL,
    pay_no TEXT,
    source TEXT NOT NULL,
    outcome TEXT NOT NULL,
    trade_no TEXT,
    amount_minor INTEGER,
    detail TEXT,
    created_at INTEGER NOT NULL
) STRICT;

-- Money on its way back, and back. Ended refunds stay; a retry of a failed one goes on in its row.
CREATE TABLE refunds (
    refund_no INTEGER PRIMARY KEY,
    pay_no INTEGER NOT NULL REFERENCES pay_records,
    order_id INTEGER NOT NULL REFERENCES orders,
    app TEXT NOT NULL,
    channel TEXT NOT NULL,
    out_refund_id TEXT, -- NULL: not asked for by the app
    source TEXT NOT NULL CHECK (source IN ('api', 'policy', 'provider')),
    cause TEXT,
    amount_minor INTEGER NOT NULL CHECK (amount_minor > 0),
    currency TEXT NOT NULL,
    reason TEXT,
    status INTEGER NOT NULL CHECK (status BETWEEN 602001 AND 602005),
    doubt INTEGER NOT NULL DEFAULT 0,
    calls INTEGER NOT NULL DEFAULT 0, -- that asked for it, each counted before it leaves
    provider_no TEXT,
    code TEXT,
    message TEXT,
    created_at INTEGER NOT NULL,
    finished_at INTEGER,
    CHECK ((finished_at IS NOT NULL) = (status IN (602003, 602004)))
) STRICT;
CREATE UNIQUE INDEX refunds_number ON refunds (out_refund_id, app) WHERE out_refund_id IS NOT NULL;
CREATE INDEX refunds_record ON refunds (pay_no, refund_no);
CREATE INDEX refunds_order ON refunds (order_id, refund_no);
CREATE INDEX refunds_app ON refunds (app, refund_no);

-- What to do when, for the few orders and payments that are open. due_at is also the lease, `claim` who has it (0: nobody),
-- and every put or claim counts the version up.
CREATE TABLE query_schedule (
    subject INTEGER PRIMARY KEY, -- a pay_no, refund_no or order_id, as the task says
    task INTEGER NOT NULL CHECK (task BETWEEN 1 AND 6), -- of two for one subject the greater stays
    channel TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    answers INTEGER NOT NULL DEFAULT 0,
    unknowns INTEGER NOT NULL DEFAULT 0,
    version INTEGER NOT NULL,
    claim INTEGER NOT NULL DEFAULT 0,
    due_at INTEGER NOT NULL
) STRICT;
CREATE INDEX query_schedule_due ON query_schedule (channel, due_at);
CREATE INDEX query_schedule_claim ON query_schedule (claim) WHERE claim <> 0;

CREATE TABLE channel_memory (
    channel TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    data BLOB NOT NULL,
    refresh_at INTEGER NOT NULL
) STRICT;

-- Every worker number is there from the start, so that taking one is an update of one row.
CREATE TABLE nodes (
    node INTEGER PRIMARY KEY,
    name TEXT UNIQUE,
    incarnation INTEGER NOT NULL DEFAULT 0,
    lease_until INTEGER NOT NULL DEFAULT 0
) STRICT;
WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1023)
INSERT INTO nodes (node) SELECT n FROM numbers;
