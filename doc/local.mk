dist_man_MANS += doc/man/paynotify-sandbox.1
