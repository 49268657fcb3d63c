/*
 * A shared object without a descriptor, for a test of the loader.
 */
extern const int something_else;
__attribute__((visibility("default"))) const int something_else = 1;
