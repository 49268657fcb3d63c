/*
 * amqp:// and amqps:// addresses, by RabbitMQ's URI specification: user, password and virtual host are percent-encoded.
 * A missing path and a lone "/" both mean the virtual host "/", because that is what everybody means.
 */
#ifndef PAYNOTIFY_RABBITMQ_URL_H
#define PAYNOTIFY_RABBITMQ_URL_H

#include "fault.h"

#include <paynotify/plugin.h>
#include <stdbool.h>

#define URL_PART 256

struct url {
    bool tls;
    char host[URL_PART]; /* without the brackets of an IPv6 address */
    char port[6];
    char user[URL_PART];
    char password[URL_PART];
    char vhost[URL_PART];
};

/* 0, or -1 with `fault`, which never shows the password. */
int url_parse(struct pn_str text, struct url *ret_url, struct fault *fault);

#endif
