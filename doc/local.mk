dist_man_MANS += doc/man/paynotify-sandbox.1
dist_man_MANS += doc/man/paynotify-alipay.7
dist_man_MANS += doc/man/paynotify-wechat.7
EXTRA_DIST += doc/architecture.md doc/benchmarks.md
dist_man_MANS += doc/man/paynotify-sink-rabbitmq.7
dist_man_MANS += doc/man/paynotify.conf.5

EXTRA_DIST += doc/openapi.yaml
EXTRA_DIST += doc/cashier-choice.png doc/cashier-paid.png doc/cashier-phone.png doc/cashier-qr.png
dist_man_MANS += doc/man/paynotifyd.8
