-- The books. Times are UTC milliseconds, money is minor units, ids are snowflakes made by the server.
-- No column that a settlement changes is in an index or in an index's predicate, and pages keep room: updates stay HOT.

-- The database's clock, the same for a whole statement.
CREATE FUNCTION pn_now_ms() RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT (date_part('epoch', statement_timestamp()) * 1000)::bigint $$;

CREATE TABLE orders (
    order_id bigint PRIMARY KEY,
    app text NOT NULL,
    out_business_id text NOT NULL,
    user_id text,
    order_type text,
    name text NOT NULL,
    description text,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency text NOT NULL,
    attach text,
    return_url text,
    status integer NOT NULL,
    refunded_minor bigint NOT NULL DEFAULT 0 CHECK (refunded_minor >= 0),
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    paid_at bigint,
    closed_at bigint,
    paid_pay_no bigint,
    last_event bigint,
    CHECK (refunded_minor <= amount_minor)
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX orders_open_number ON orders (app, out_business_id) WHERE closed_at IS NULL;
CREATE INDEX orders_number ON orders (out_business_id, order_id);
CREATE INDEX orders_app ON orders (app, order_id);
CREATE INDEX orders_user ON orders (user_id, order_id) WHERE user_id IS NOT NULL;

CREATE TABLE order_goods (
    order_id bigint NOT NULL REFERENCES orders,
    line integer NOT NULL,
    goods_id text,
    goods_type text,
    name text,
    detail text,
    price_minor bigint NOT NULL,
    quantity bigint NOT NULL,
    PRIMARY KEY (order_id, line)
);

CREATE TABLE pay_records (
    pay_no bigint PRIMARY KEY,
    order_id bigint NOT NULL REFERENCES orders,
    app text NOT NULL,
    channel text NOT NULL,
    product text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency text NOT NULL,
    merchant text,
    status integer NOT NULL,
    trade_no text,
    payer text,
    refunded_minor bigint NOT NULL DEFAULT 0 CHECK (refunded_minor >= 0),
    refunding_minor bigint NOT NULL DEFAULT 0 CHECK (refunding_minor >= 0), -- reserved, not yet certain
    stated_back_minor bigint NOT NULL DEFAULT 0, -- the highest total of refunds that the provider has stated
    paid_at bigint,
    idempotency_key text,
    params text,
    prepay text,
    needs_review boolean NOT NULL DEFAULT false,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    CHECK (refunded_minor + refunding_minor <= amount_minor)
) WITH (fillfactor = 80);
CREATE INDEX pay_records_order ON pay_records (order_id);
CREATE INDEX pay_records_app ON pay_records (app, pay_no);
CREATE UNIQUE INDEX pay_records_key ON pay_records (order_id, idempotency_key) WHERE idempotency_key IS NOT NULL;

-- Append only: what happened, from which every format is made.
CREATE TABLE events (
    event_id bigint PRIMARY KEY,
    type text NOT NULL,
    app text NOT NULL,
    order_type text,
    order_id bigint NOT NULL,
    pay_no bigint,
    trade_no text,
    created_at bigint NOT NULL,
    data text NOT NULL
);
CREATE INDEX events_trade ON events (trade_no) WHERE trade_no IS NOT NULL;

-- Event × sink still to deliver. due_at is also the lease; a chained row waits (due_at = 2^63-1) for its predecessor.
-- Rows live for milliseconds: vacuum goes by their number, not by the table's size, and does not dawdle.
CREATE TABLE outbox (
    event_id bigint NOT NULL,
    sink text NOT NULL,
    order_id bigint NOT NULL,
    due_at bigint NOT NULL,
    claim bigint NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    waits_for bigint,
    created_at bigint NOT NULL,
    PRIMARY KEY (event_id, sink)
) WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
        autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 50000,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX outbox_due ON outbox (sink, due_at);
CREATE INDEX outbox_waits ON outbox (waits_for, sink) WHERE waits_for IS NOT NULL;

-- Append only, one row per finished delivery; no key, so that a delivery costs one heap insert.
CREATE TABLE delivery_history (
    event_id bigint NOT NULL,
    sink text NOT NULL,
    order_id bigint NOT NULL,
    delivered boolean NOT NULL, -- false: dead letter
    attempts integer NOT NULL,
    reason text,
    created_at bigint NOT NULL,
    finished_at bigint NOT NULL
);

-- What providers told us and what was decided, for every outcome other than applied (that one is the event).
CREATE TABLE notify_audit (
    audit_id bigint PRIMARY KEY,
    channel text NOT NULL,
    pay_no text,
    source text NOT NULL,
    outcome text NOT NULL,
    trade_no text,
    amount_minor bigint,
    detail text,
    created_at bigint NOT NULL
);

-- Money on its way back, and back. Ended refunds stay; a retry of a failed one goes on in its row.
CREATE TABLE refunds (
    refund_no bigint PRIMARY KEY,
    pay_no bigint NOT NULL REFERENCES pay_records,
    order_id bigint NOT NULL REFERENCES orders,
    app text NOT NULL,
    channel text NOT NULL,
    out_refund_id text, -- NULL: not asked for by the app
    source text NOT NULL CHECK (source IN ('api', 'policy', 'provider')),
    cause text,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency text NOT NULL,
    reason text,
    status integer NOT NULL CHECK (status BETWEEN 602001 AND 602005),
    doubt boolean NOT NULL DEFAULT false,
    calls integer NOT NULL DEFAULT 0, -- that asked for it, each counted before it leaves
    provider_no text,
    code text,
    message text,
    created_at bigint NOT NULL,
    finished_at bigint,
    CHECK ((finished_at IS NOT NULL) = (status IN (602003, 602004)))
);
CREATE UNIQUE INDEX refunds_number ON refunds (out_refund_id, app) WHERE out_refund_id IS NOT NULL;
CREATE INDEX refunds_record ON refunds (pay_no, refund_no);
CREATE INDEX refunds_order ON refunds (order_id, refund_no);
CREATE INDEX refunds_app ON refunds (app, refund_no);

-- What to do when, for the few orders and payments that are open. due_at is also the lease, `claim` who has it (0: nobody),
-- and every put or claim counts the version up.
CREATE TABLE query_schedule (
    subject bigint PRIMARY KEY, -- a pay_no, refund_no or order_id, as the task says
    task integer NOT NULL CHECK (task BETWEEN 1 AND 6), -- of two for one subject the greater stays
    channel text NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    answers integer NOT NULL DEFAULT 0,
    unknowns integer NOT NULL DEFAULT 0,
    version bigint NOT NULL,
    claim bigint NOT NULL DEFAULT 0,
    due_at bigint NOT NULL
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX query_schedule_due ON query_schedule (channel, due_at);
CREATE INDEX query_schedule_claim ON query_schedule (claim) WHERE claim <> 0;

CREATE TABLE channel_memory (
    channel text PRIMARY KEY,
    version bigint NOT NULL,
    data bytea NOT NULL,
    refresh_at bigint NOT NULL
);

-- Every worker number is there from the start, so that taking one is an update of one row.
CREATE TABLE nodes (
    node integer PRIMARY KEY,
    name text UNIQUE,
    incarnation bigint NOT NULL DEFAULT 0,
    lease_until bigint NOT NULL DEFAULT 0
);
WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1023)
INSERT INTO nodes (node) SELECT n FROM numbers;
