/*
 * Looks at a plugin's file before the dynamic linker does: a truncated file would end the process by SIGBUS inside
 * dlopen. Called by load.c at start-up.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plugin/internal.h"

/* The linker's symbol for our own ELF header: what this process is, every plugin must be. */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

static bool read_at(int fd, void *ret_bytes, size_t n, uint64_t offset)
{
    return pread(fd, ret_bytes, n, (off_t) offset) == (ssize_t) n;
}

static bool inside(uint64_t offset, uint64_t length, uint64_t size)
{
    return offset <= size && length <= size - offset;
}

static enum rc check_header(const char *file, const ElfW(Ehdr) *header, struct error *err)
{
    if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
        return error_set(err, RC_CONFIG, "%s is not a shared object (wanted an ELF file)", file);
    if (header->e_ident[EI_CLASS] != __ehdr_start.e_ident[EI_CLASS] || header->e_ident[EI_DATA] != __ehdr_start.e_ident[EI_DATA] ||
        header->e_machine != __ehdr_start.e_machine)
        return error_set(err, RC_CONFIG, "%s is for another machine (wanted ELF machine %u, found %u)", file,
                         (unsigned) __ehdr_start.e_machine, (unsigned) header->e_machine);
    if (header->e_type != ET_DYN)
        return error_set(err, RC_CONFIG, "%s is not a shared object (wanted ELF type %d, found %u)", file, ET_DYN,
                         (unsigned) header->e_type);
    return RC_OK;
}

static enum rc not_whole(const char *file, uint64_t size, struct error *err)
{
    return error_set(err, RC_CONFIG, "%s is not whole: its headers reach beyond its %llu bytes; copy it again", file,
                     (unsigned long long) size);
}

static enum rc check_segments(const char *file, int fd, const ElfW(Ehdr) *header, uint64_t size, struct error *err)
{
    bool dynamic = false;
    if (header->e_phentsize != sizeof(ElfW(Phdr)) ||
        !inside(header->e_phoff, (uint64_t) header->e_phnum * sizeof(ElfW(Phdr)), size))
        return not_whole(file, size, err);
    for (unsigned i = 0; i < header->e_phnum; i++) {
        ElfW(Phdr) segment;
        if (!read_at(fd, &segment, sizeof segment, header->e_phoff + i * sizeof segment) ||
            !inside(segment.p_offset, segment.p_filesz, size))
            return not_whole(file, size, err);
        dynamic |= segment.p_type == PT_DYNAMIC;
    }
    /* The section table stands at the very end, so that it shows any cut; a stripped file may have none. */
    if (header->e_shoff && !inside(header->e_shoff, (uint64_t) header->e_shnum * header->e_shentsize, size))
        return not_whole(file, size, err);
    if (!dynamic)
        return error_set(err, RC_CONFIG, "%s is not a shared object (it has no dynamic segment)", file);
    return RC_OK;
}

enum rc elf_check(const char *file, unsigned long *ret_device, unsigned long *ret_inode, struct error *err)
{
    enum rc rc;
    ElfW(Ehdr) header;
    struct stat st;
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return error_set(err, RC_CONFIG, "cannot open %s: %s", file, strerror(errno));
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        rc = error_set(err, RC_CONFIG, "%s is not a file", file);
        goto out;
    }
    if (st.st_size < SELFMAG || !read_at(fd, &header, SELFMAG, 0) || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
        rc = error_set(err, RC_CONFIG, "%s is not a shared object (wanted an ELF file)", file);
        goto out;
    }
    if (!read_at(fd, &header, sizeof header, 0)) {
        rc = not_whole(file, (uint64_t) st.st_size, err);
        goto out;
    }
    rc = check_header(file, &header, err);
    if (rc == RC_OK)
        rc = check_segments(file, fd, &header, (uint64_t) st.st_size, err);
    if (rc == RC_OK) {
        *ret_device = (unsigned long) st.st_dev;
        *ret_inode = (unsigned long) st.st_ino;
    }
out:
    close(fd);
    return rc;
}
