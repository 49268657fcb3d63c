/*
 * What every cmocka test includes, in the order that cmocka wants.
 */
#ifndef PN_TESTS_UNIT_H
#define PN_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#endif
