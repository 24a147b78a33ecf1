/* The plug-in of deepbind_test: which `place` does it find first? */
#define PUBLIC __attribute__((visibility("default")))

/* Weak, so that no compiler takes this one for granted. */
PUBLIC __attribute__((weak)) int place(void) {
    return 1;
}

PUBLIC int first_place(void) {
    return place();
}
