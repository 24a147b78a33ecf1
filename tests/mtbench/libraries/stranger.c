/* A library that is no malloc at all. */
int stranger(void);

int stranger(void) {
    return 42;
}
