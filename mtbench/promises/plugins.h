/* The plug-ins: libraries that lie beside this executable, to be opened or preloaded. */
#ifndef PLUGINS_H
#define PLUGINS_H

/* dlopen with these flags; inapplicable() where it cannot be opened. */
void *plugin_open(const char *name, int flags);

/* A function of an opened plug-in into *function, a pointer to a function pointer. */
void plugin_function(void *library, const char *symbol, void *function);

/* To be called by a child that becomes an arm: a plug-in is preloaded before or after whatever this
 * process preloads. */
void plugin_preload_before(const char *name);
void plugin_preload_after(const char *name);

#endif
