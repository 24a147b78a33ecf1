#include "base/vdso.h"

#include <elf.h>
#include <link.h>
#include <string.h>
#include <sys/auxv.h>

struct image {
    uintptr_t base; /* added to the addresses in it */
    const ElfW(Sym) * symbols;
    const char *names;
    const ElfW(Word) * hash, *gnu_hash;
};

/* Symbols in the table: neither hash says it in one word that all images have. */
static size_t symbol_count(const struct image *image) {
    if (image->hash != NULL) {
        return image->hash[1];
    }
    if (image->gnu_hash == NULL) {
        return 0;
    }
    size_t buckets = image->gnu_hash[0], first = image->gnu_hash[1], bloom = image->gnu_hash[2];
    const ElfW(Word) *bucket = (const ElfW(Word) *)((const size_t *)(image->gnu_hash + 4) + bloom);
    const ElfW(Word) *chain = bucket + buckets;
    size_t last = 0;
    for (size_t i = 0; i < buckets; i++) {
        last = bucket[i] > last ? bucket[i] : last;
    }
    if (last < first) {
        return 0;
    }
    while ((chain[last - first] & 1) == 0) {
        last++;
    }
    return last + 1;
}

static struct image open_image(const ElfW(Ehdr) * header) {
    struct image image = {0};
    const ElfW(Phdr) *part = (const ElfW(Phdr) *)((uintptr_t)header + header->e_phoff);
    const ElfW(Dyn) *entry = NULL;
    for (int i = 0; i < header->e_phnum; i++) {
        if (part[i].p_type == PT_LOAD && image.base == 0) {
            image.base = (uintptr_t)header + part[i].p_offset - part[i].p_vaddr;
        } else if (part[i].p_type == PT_DYNAMIC) {
            entry = (const ElfW(Dyn) *)((uintptr_t)header + part[i].p_offset);
        }
    }
    for (; entry != NULL && entry->d_tag != DT_NULL; entry++) {
        uintptr_t at = image.base + entry->d_un.d_ptr;
        switch (entry->d_tag) {
        case DT_SYMTAB:
            image.symbols = (const ElfW(Sym) *)at;
            break;
        case DT_STRTAB:
            image.names = (const char *)at;
            break;
        case DT_HASH:
            image.hash = (const ElfW(Word) *)at;
            break;
        case DT_GNU_HASH:
            image.gnu_hash = (const ElfW(Word) *)at;
            break;
        }
    }
    return image;
}

void *vdso_symbol(const char *name) {
    const ElfW(Ehdr) *header = (const ElfW(Ehdr) *)getauxval(AT_SYSINFO_EHDR);
    if (header == NULL) {
        return NULL;
    }
    struct image image = open_image(header);
    if (image.symbols == NULL || image.names == NULL) {
        return NULL;
    }
    size_t count = symbol_count(&image);
    for (size_t i = 0; i < count; i++) {
        const ElfW(Sym) *symbol = &image.symbols[i];
        if (symbol->st_shndx != SHN_UNDEF && strcmp(image.names + symbol->st_name, name) == 0) {
            return (void *)(image.base + symbol->st_value);
        }
    }
    return NULL;
}
