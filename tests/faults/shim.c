/*
 * Stands between a process under test and the kernel (LD_PRELOAD): every change of a watched folder and every send on
 * an internet socket becomes a numbered point, is written to a journal, and can be made to kill the process or to fail.
 *
 * The journal carries the new bytes in the order in which they reached the page cache, so that power_cut.py can say
 * which of them a power cut would have left on the disk. File operations hold one lock from the operation to its
 * journal record: the order of the journal is the order of the folder. Sends are not held under it, because a send may
 * block until the peer reads.
 *
 * 64-bit Linux only; raw system calls throughout, so nothing here depends on what libc does inside.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/* journal.py knows these numbers by the same names */
enum kind { OPEN = 1, WRITE, TRUNCATE, FSYNC, RENAME, UNLINK, MKDIR, RMDIR, LINK, SEND };
enum action { COUNT = 0, KILL_BEFORE, KILL_AFTER, KILL_TORN, FAIL, SHORT };

struct record {              /* little endian, 80 bytes, then path, path2, data */
    uint32_t magic;
    uint8_t kind, executed, fired, existed;
    int64_t point;           /* 1, 2, …; 0: not counted (another kind than the armed ones) */
    uint64_t inode, inode2;  /* inode2: of the folder that holds the name */
    int64_t offset;          /* of a write; length of a truncation; flags of a rename */
    int64_t result;          /* what the caller saw */
    uint32_t error, mode;
    uint32_t path_len, path2_len;
    uint64_t data_len;
    int64_t pid;
};

struct state {               /* shared with forked workers */
    pthread_mutex_t lock;
    long count, target, repeat, death;
    int action, error;
    uint32_t kinds;
    pid_t group;
};

static struct state *S;
static int journal = -1;
static char root[PATH_MAX];
static size_t root_len;
static dev_t root_dev;

/* ------------------------------------------------------------------ control, called through ctypes after the fork */

int faults_watch(const char *folder, const char *journal_path) {
    struct stat st;
    if (!realpath(folder, root) || stat(root, &st) != 0) return -1;
    root_len = strlen(root);
    root_dev = st.st_dev;
    int fd = syscall(SYS_openat, AT_FDCWD, journal_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) return -1;
    journal = fcntl(fd, F_DUPFD_CLOEXEC, 500);
    syscall(SYS_close, fd);
    if (journal < 0) return -1;
    struct state *fresh = mmap(NULL, sizeof *fresh, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (fresh == MAP_FAILED) return -1;
    pthread_mutexattr_t shared;
    pthread_mutexattr_init(&shared);
    pthread_mutexattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&fresh->lock, &shared);
    fresh->kinds = ~0u;
    fresh->group = getpgrp() == getpid() ? 0 : -1;
    S = fresh;
    return 0;
}

/*
 * the target-th point of the given kinds (bit set; 0: all) from now on, and the repeat-1 points after it; and, when
 * death is not 0, the end before that point: what a failure left half done is found by whoever starts next
 */
void faults_arm(int action, long target, int error, unsigned kinds, long repeat, long death) {
    pthread_mutex_lock(&S->lock);
    S->count = 0;
    S->action = action;
    S->target = target;
    S->error = error;
    S->kinds = kinds ? kinds : ~0u;
    S->repeat = repeat > 0 ? repeat : 1;
    S->death = death;
    pthread_mutex_unlock(&S->lock);
}

long faults_count(void) { return S ? S->count : 0; }

__attribute__((constructor)) static void from_environment(void) {
    const char *folder = getenv("FAULTS_ROOT"), *path = getenv("FAULTS_JOURNAL");
    if (!folder || !path || faults_watch(folder, path) != 0) return;
    const char *action = getenv("FAULTS_ACTION"), *target = getenv("FAULTS_POINT"), *error = getenv("FAULTS_ERRNO");
    faults_arm(action ? atoi(action) : COUNT, target ? atol(target) : 0, error ? atoi(error) : EIO, 0, 1, 0);
}

/* ------------------------------------------------------------------------------------------------- paths and names */

/* SQLite's -shm is an index in memory that a restart rebuilds: no durability to test, and it is written through mmap */
static int inside(const char *path) {
    size_t n = strlen(path);
    if (n > 4 && strcmp(path + n - 4, "-shm") == 0) return 0;
    return strncmp(path, root, root_len) == 0 && (path[root_len] == '/' || path[root_len] == 0);
}

static int fd_path(int fd, char *out) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = syscall(SYS_readlinkat, AT_FDCWD, link, out, PATH_MAX - 1);
    if (n < 0) return -1;
    out[n] = 0;
    return 0;
}

/* absolute form of a path argument; the last component need not exist; links in the folder part are followed */
static int absolute(int dirfd, const char *path, char *out) {
    char full[PATH_MAX * 2], folder[PATH_MAX];
    if (path[0] == '/') {
        snprintf(full, sizeof full, "%s", path);
    } else {
        char base[PATH_MAX];
        if (dirfd == AT_FDCWD ? !getcwd(base, sizeof base) : fd_path(dirfd, base) != 0) return -1;
        snprintf(full, sizeof full, "%s/%s", base, path);
    }
    size_t n = strlen(full);
    while (n > 1 && full[n - 1] == '/') full[--n] = 0;
    char *slash = strrchr(full, '/');
    if (!slash || n >= PATH_MAX) return -1;
    if (slash == full) { snprintf(out, PATH_MAX, "%.*s", PATH_MAX - 1, full); return 0; }
    *slash = 0;
    if (!realpath(full, folder)) return -1;
    return snprintf(out, PATH_MAX, "%s/%s", folder, slash + 1) < PATH_MAX ? 0 : -1;
}

static int watched_path(int dirfd, const char *path, char *out) {
    return S && path && absolute(dirfd, path, out) == 0 && inside(out);
}

/* 1: file or folder of the watched root (its path and inode), 2: internet socket, 0: neither */
static int watched_fd(int fd, char *path, uint64_t *inode, uint32_t *mode) {
    struct stat st;
    if (!S || fstat(fd, &st) != 0) return 0;
    *inode = st.st_ino;
    *mode = st.st_mode;
    if (S_ISSOCK(st.st_mode)) {
        struct sockaddr_storage peer;
        socklen_t size = sizeof peer;
        if (getpeername(fd, (struct sockaddr *)&peer, &size) != 0) return 0;
        if (peer.ss_family == AF_INET) {
            snprintf(path, PATH_MAX, "tcp:%d", ntohs(((struct sockaddr_in *)&peer)->sin_port));
        } else if (peer.ss_family == AF_INET6) {
            snprintf(path, PATH_MAX, "tcp:%d", ntohs(((struct sockaddr_in6 *)&peer)->sin6_port));
        } else {
            return 0;
        }
        return 2;
    }
    if (st.st_dev != root_dev || fd_path(fd, path) != 0) return 0;
    return inside(path) ? 1 : 0;
}

static uint64_t folder_inode(const char *path) {
    char folder[PATH_MAX];
    struct stat st;
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (!slash) return 0;
    *(slash == folder ? slash + 1 : slash) = 0;
    return stat(folder, &st) == 0 ? st.st_ino : 0;
}

/* ------------------------------------------------------------------------------------------------ points, journal */

static void append(struct record *r, const char *path, const char *path2, const struct iovec *data, int parts) {
    struct iovec out[3 + 1024];
    int saved = errno, n = 0;
    r->magic = 0x544c5546;
    r->pid = getpid();
    r->path_len = path ? strlen(path) : 0;
    r->path2_len = path2 ? strlen(path2) : 0;
    out[n++] = (struct iovec){r, sizeof *r};
    out[n++] = (struct iovec){(void *)path, r->path_len};
    out[n++] = (struct iovec){(void *)path2, r->path2_len};
    uint64_t left = r->data_len;
    for (int i = 0; i < parts && left && n < 1024; i++) {
        size_t part = data[i].iov_len < left ? data[i].iov_len : left;
        out[n++] = (struct iovec){data[i].iov_base, part};
        left -= part;
    }
    syscall(SYS_writev, journal, out, n);
    errno = saved;
}

static void die(void) {
    syscall(SYS_kill, S->group == 0 ? 0 : getpid(), SIGKILL);
    for (;;) pause();
}

/* numbers this point and says what happens at it; the caller holds the lock */
static int arrive(struct record *r) {
    if (!(S->kinds & (1u << r->kind))) return COUNT;
    r->point = ++S->count;
    if (S->death && r->point >= S->death) return r->fired = KILL_BEFORE;
    if (S->action == COUNT || r->point < S->target || r->point >= S->target + S->repeat) return COUNT;
    r->fired = S->action;
    return S->action;
}

static void killed_before(struct record *r, const char *path, const char *path2) {
    r->executed = 0;
    append(r, path, path2, NULL, 0);
    die();
}

static long failed(struct record *r, const char *path, const char *path2) {
    r->result = -1;
    r->error = errno = S->error;
    append(r, path, path2, NULL, 0);
    return -1;
}

static void finish(struct record *r, int action, long result, const char *path, const char *path2,
                   const struct iovec *data, int parts) {
    r->executed = 1;
    r->result = result;
    r->error = result < 0 ? errno : 0;
    append(r, path, path2, data, parts);
    if (action == KILL_AFTER || action == KILL_TORN) die();
}

#define LOCKED(result)                          \
    do {                                        \
        long value_ = (result);                 \
        int saved_ = errno;                     \
        pthread_mutex_unlock(&S->lock);         \
        errno = saved_;                         \
        return value_;                          \
    } while (0)

/* an operation on names or a whole file: CALL runs it, path2 may be NULL; lock held by the macro */
#define NAMED(r, path, path2, CALL)                                                     \
    do {                                                                                \
        int action = arrive(&(r));                                                      \
        if (action == KILL_BEFORE) killed_before(&(r), path, path2);                    \
        if (action == FAIL || action == SHORT) LOCKED(failed(&(r), path, path2));       \
        long done = (CALL);                                                             \
        finish(&(r), action, done, path, path2, NULL, 0);                               \
        LOCKED(done);                                                                   \
    } while (0)

/* --------------------------------------------------------------------------------------------------------- writing */

static size_t total(const struct iovec *iov, int parts) {
    size_t sum = 0;
    for (int i = 0; i < parts; i++) sum += iov[i].iov_len;
    return sum;
}

/* the first `keep` octets of iov, as at most `parts` pieces in out */
static int shortened(const struct iovec *iov, int parts, size_t keep, struct iovec *out) {
    int n = 0;
    for (; n < parts && keep; n++) {
        out[n] = iov[n];
        if (out[n].iov_len > keep) out[n].iov_len = keep;
        keep -= out[n].iov_len;
    }
    return n;
}

static long write_file(int fd, const struct iovec *iov, int parts, off_t offset, const char *path, uint64_t inode) {
    struct record r = {.kind = WRITE, .inode = inode};
    struct iovec half[1024];
    pthread_mutex_lock(&S->lock);
    int action = arrive(&r);
    if (action == KILL_BEFORE) killed_before(&r, path, NULL);
    if (action == FAIL) LOCKED(failed(&r, path, NULL));
    if ((action == KILL_TORN || action == SHORT) && total(iov, parts) > 1) {
        parts = shortened(iov, parts, total(iov, parts) / 2, half);
        iov = half;
    }
    long done = offset >= 0 ? syscall(SYS_pwritev, fd, iov, (long)parts, (long)offset, 0L)
                            : syscall(SYS_writev, fd, iov, (long)parts);
    int saved = errno;
    r.offset = offset >= 0 ? offset : lseek(fd, 0, SEEK_CUR) - (done > 0 ? done : 0);
    r.data_len = done > 0 ? done : 0;
    errno = saved;
    finish(&r, action, done, path, NULL, iov, parts);
    LOCKED(done);
}

/* decides about a send before it is made; returns the action, or -1 when the call is to fail with errno set */
static int before_send(struct record *r, const char *path) {
    pthread_mutex_lock(&S->lock);
    int action = arrive(r);
    if (action == KILL_BEFORE) killed_before(r, path, NULL);
    if (action == FAIL) {
        failed(r, path, NULL);
        action = -1;
        r->error = errno = S->error == EIO || S->error == ENOSPC ? ECONNRESET : S->error;
    }
    int saved = errno;
    pthread_mutex_unlock(&S->lock);
    errno = saved;
    return action;
}

static long after_send(struct record *r, int action, long done, const char *path) {
    int saved = errno;
    pthread_mutex_lock(&S->lock);
    errno = saved;
    finish(r, action, done, path, NULL, NULL, 0);
    LOCKED(done);
}

static long write_any(int fd, const struct iovec *iov, int parts, off_t offset) {
    char path[PATH_MAX];
    uint64_t inode;
    uint32_t mode;
    int what = parts > 0 && parts < 1024 ? watched_fd(fd, path, &inode, &mode) : 0;
    if (what == 1) return write_file(fd, iov, parts, offset, path, inode);
    if (what == 2) {
        struct record r = {.kind = SEND, .inode = inode};
        struct iovec half[1024];
        int action = before_send(&r, path);
        if (action < 0) return -1;
        if ((action == KILL_TORN || action == SHORT) && total(iov, parts) > 1) {
            parts = shortened(iov, parts, total(iov, parts) / 2, half);
            iov = half;
        }
        return after_send(&r, action, syscall(SYS_writev, fd, iov, (long)parts), path);
    }
    return offset >= 0 ? syscall(SYS_pwritev, fd, iov, (long)parts, (long)offset, 0L)
                       : syscall(SYS_writev, fd, iov, (long)parts);
}

ssize_t write(int fd, const void *data, size_t size) {
    if (!S) return syscall(SYS_write, fd, data, size);
    struct iovec one = {(void *)data, size};
    return write_any(fd, &one, 1, -1);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    if (!S) return syscall(SYS_pwrite64, fd, data, size, offset);
    struct iovec one = {(void *)data, size};
    return write_any(fd, &one, 1, offset);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) { return pwrite(fd, data, size, offset); }

ssize_t writev(int fd, const struct iovec *iov, int parts) { return write_any(fd, iov, parts, -1); }
ssize_t pwritev(int fd, const struct iovec *iov, int parts, off_t offset) { return write_any(fd, iov, parts, offset); }
ssize_t pwritev64(int fd, const struct iovec *iov, int parts, off64_t offset) {
    return write_any(fd, iov, parts, offset);
}
ssize_t pwritev2(int fd, const struct iovec *iov, int parts, off_t offset, int flags) {
    (void)flags;
    return write_any(fd, iov, parts, offset);
}
ssize_t pwritev64v2(int fd, const struct iovec *iov, int parts, off64_t offset, int flags) {
    return pwritev2(fd, iov, parts, offset, flags);
}

/* kernel-side copies: made through a buffer, so that the journal has the bytes */
static ssize_t copy_into(int out, int in, off_t *in_offset, size_t size) {
    static __thread char buffer[1 << 16];
    if (size > sizeof buffer) size = sizeof buffer;
    ssize_t got = in_offset ? pread(in, buffer, size, *in_offset) : read(in, buffer, size);
    if (got <= 0) return got;
    struct iovec one = {buffer, got};
    ssize_t done = write_any(out, &one, 1, -1);
    if (done >= 0 && in_offset) *in_offset += done;
    else if (!in_offset && done < got) lseek(in, (done < 0 ? 0 : done) - got, SEEK_CUR);
    return done;
}

ssize_t sendfile(int out, int in, off_t *offset, size_t size) {
    char path[PATH_MAX];
    uint64_t inode;
    uint32_t mode;
    if (!watched_fd(out, path, &inode, &mode)) return syscall(SYS_sendfile, out, in, offset, size);
    return copy_into(out, in, offset, size);
}
ssize_t sendfile64(int out, int in, off64_t *offset, size_t size) { return sendfile(out, in, offset, size); }

ssize_t copy_file_range(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t size, unsigned flags) {
    char path[PATH_MAX];
    uint64_t inode;
    uint32_t mode;
    if (!watched_fd(out, path, &inode, &mode))
        return syscall(SYS_copy_file_range, in, in_offset, out, out_offset, size, flags);
    (void)out_offset;
    errno = EXDEV; /* callers fall back to read and write, which the journal sees */
    return -1;
}

/* --------------------------------------------------------------------------------------------------------- sending */

ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t to_len) {
    char path[PATH_MAX];
    uint64_t inode;
    uint32_t mode;
    if (watched_fd(fd, path, &inode, &mode) != 2) return syscall(SYS_sendto, fd, data, size, flags, to, to_len);
    struct record r = {.kind = SEND, .inode = inode};
    int action = before_send(&r, path);
    if (action < 0) return -1;
    if ((action == KILL_TORN || action == SHORT) && size > 1) size /= 2;
    return after_send(&r, action, syscall(SYS_sendto, fd, data, size, flags, to, to_len), path);
}
ssize_t send(int fd, const void *data, size_t size, int flags) { return sendto(fd, data, size, flags, NULL, 0); }

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    char path[PATH_MAX];
    uint64_t inode;
    uint32_t mode;
    if (watched_fd(fd, path, &inode, &mode) != 2) return syscall(SYS_sendmsg, fd, message, flags);
    struct record r = {.kind = SEND, .inode = inode};
    int action = before_send(&r, path);
    if (action < 0) return -1;
    struct msghdr copy = *message;
    struct iovec half[1024];
    if ((action == KILL_TORN || action == SHORT) && copy.msg_iovlen < 1024
        && total(copy.msg_iov, copy.msg_iovlen) > 1) {
        copy.msg_iovlen = shortened(copy.msg_iov, copy.msg_iovlen, total(copy.msg_iov, copy.msg_iovlen) / 2, half);
        copy.msg_iov = half;
    }
    return after_send(&r, action, syscall(SYS_sendmsg, fd, &copy, flags), path);
}

/* ------------------------------------------------------------------------------------------------ opening, lengths */

static int open_any(int dirfd, const char *name, int flags, mode_t mode) {
    char path[PATH_MAX];
    int changes = (flags & (O_CREAT | O_TRUNC)) || (flags & O_TMPFILE) == O_TMPFILE;
    if (!changes || !watched_path(dirfd, name, path)) return syscall(SYS_openat, dirfd, name, flags, mode);
    struct record r = {.kind = OPEN, .offset = flags};
    struct stat st;
    pthread_mutex_lock(&S->lock);
    int nameless = (flags & O_TMPFILE) == O_TMPFILE, present = fstatat(dirfd, name, &st, 0) == 0;
    r.existed = present && !nameless;
    if (!nameless && present && !((flags & O_TRUNC) && st.st_size > 0 && !(flags & O_EXCL))) {
        /* nothing changes: no point */
        LOCKED(syscall(SYS_openat, dirfd, name, flags, mode));
    }
    int action = arrive(&r);
    if (action == KILL_BEFORE) killed_before(&r, path, NULL);
    if (action == FAIL || action == SHORT) LOCKED(failed(&r, path, NULL));
    long fd = syscall(SYS_openat, dirfd, name, flags, mode);
    int saved = errno;
    if (fd >= 0 && fstat(fd, &st) == 0) {
        r.inode = st.st_ino;
        r.mode = st.st_mode;
    }
    r.inode2 = nameless ? 0 : folder_inode(path);
    errno = saved;
    finish(&r, action, fd, path, NULL, NULL, 0);
    LOCKED(fd);
}

#define OPEN_MODE(flags, last)                                              \
    mode_t mode = 0;                                                        \
    if (((flags) & O_CREAT) || ((flags) & O_TMPFILE) == O_TMPFILE) {        \
        va_list rest;                                                       \
        va_start(rest, last);                                               \
        mode = va_arg(rest, mode_t);                                        \
        va_end(rest);                                                       \
    }

int open(const char *path, int flags, ...) { OPEN_MODE(flags, flags) return open_any(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { OPEN_MODE(flags, flags) return open_any(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { OPEN_MODE(flags, flags) return open_any(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) {
    OPEN_MODE(flags, flags) return open_any(at, path, flags, mode);
}
int __open_2(const char *path, int flags) { return open_any(AT_FDCWD, path, flags, 0); }
int __open64_2(const char *path, int flags) { return open_any(AT_FDCWD, path, flags, 0); }
int __openat_2(int at, const char *path, int flags) { return open_any(at, path, flags, 0); }
int __openat64_2(int at, const char *path, int flags) { return open_any(at, path, flags, 0); }
int creat(const char *path, mode_t mode) { return open_any(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return creat(path, mode); }

static int truncate_fd(int fd, off_t length) {
    char path[PATH_MAX];
    struct record r = {.kind = TRUNCATE, .offset = length};
    if (watched_fd(fd, path, &r.inode, &r.mode) != 1) return syscall(SYS_ftruncate, fd, length);
    pthread_mutex_lock(&S->lock);
    NAMED(r, path, NULL, syscall(SYS_ftruncate, fd, length));
}
int ftruncate(int fd, off_t length) { return truncate_fd(fd, length); }
int ftruncate64(int fd, off64_t length) { return truncate_fd(fd, length); }

static int truncate_any(const char *path, off_t length) {
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    int done = truncate_fd(fd, length), saved = errno;
    syscall(SYS_close, fd);
    errno = saved;
    return done;
}
int truncate(const char *path, off_t length) { return truncate_any(path, length); }
int truncate64(const char *path, off64_t length) { return truncate_any(path, length); }

/* space reserved with its length extended looks to a reader like a truncation to a greater length */
int posix_fallocate(int fd, off_t offset, off_t length) {
    struct stat st;
    if (fstat(fd, &st) != 0) return errno;
    if (st.st_size >= offset + length) return 0;
    return truncate_fd(fd, offset + length) == 0 ? 0 : errno;
}
int posix_fallocate64(int fd, off64_t offset, off64_t length) { return posix_fallocate(fd, offset, length); }
int fallocate(int fd, int mode, off_t offset, off_t length) {
    char path[PATH_MAX];
    uint64_t inode;
    uint32_t bits;
    if (watched_fd(fd, path, &inode, &bits) != 1 || mode == FALLOC_FL_KEEP_SIZE)
        return syscall(SYS_fallocate, fd, mode, offset, length);
    errno = EOPNOTSUPP; /* holes and shifts are not modelled */
    return -1;
}
int fallocate64(int fd, int mode, off64_t offset, off64_t length) { return fallocate(fd, mode, offset, length); }

/* -------------------------------------------------------------------------------------------------- flushing, names */

static int flush(int fd, long number) {
    char path[PATH_MAX];
    struct record r = {.kind = FSYNC};
    if (watched_fd(fd, path, &r.inode, &r.mode) != 1) return syscall(number, fd);
    pthread_mutex_lock(&S->lock);
    NAMED(r, path, NULL, syscall(number, fd));
}
int fsync(int fd) { return flush(fd, SYS_fsync); }
int fdatasync(int fd) { return flush(fd, SYS_fdatasync); }

static int rename_any(int from_at, const char *from, int to_at, const char *to, unsigned flags) {
    char path[PATH_MAX], path2[PATH_MAX];
    struct record r = {.kind = RENAME, .offset = flags};
    struct stat st;
    int in = watched_path(from_at, from, path), out = watched_path(to_at, to, path2);
    if (!in && !out) return syscall(SYS_renameat2, from_at, from, to_at, to, flags);
    pthread_mutex_lock(&S->lock);
    if (fstatat(from_at, from, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        r.inode = st.st_ino;
        r.mode = st.st_mode;
    }
    r.inode2 = out ? folder_inode(path2) : 0;
    NAMED(r, in ? path : NULL, out ? path2 : NULL, syscall(SYS_renameat2, from_at, from, to_at, to, flags));
}
int rename(const char *from, const char *to) { return rename_any(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int from_at, const char *from, int to_at, const char *to) { return rename_any(from_at, from, to_at, to, 0); }
int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags) {
    return rename_any(from_at, from, to_at, to, flags);
}

static int unlink_any(int at, const char *name, int flags) {
    char path[PATH_MAX];
    struct record r = {.kind = flags & AT_REMOVEDIR ? RMDIR : UNLINK};
    struct stat st;
    if (!watched_path(at, name, path) || fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return syscall(SYS_unlinkat, at, name, flags);
    r.inode = st.st_ino;
    r.mode = st.st_mode;
    r.inode2 = folder_inode(path);
    pthread_mutex_lock(&S->lock);
    NAMED(r, path, NULL, syscall(SYS_unlinkat, at, name, flags));
}
int unlink(const char *path) { return unlink_any(AT_FDCWD, path, 0); }
int unlinkat(int at, const char *path, int flags) { return unlink_any(at, path, flags); }
int rmdir(const char *path) { return unlink_any(AT_FDCWD, path, AT_REMOVEDIR); }
int remove(const char *path) {
    int done = unlink_any(AT_FDCWD, path, 0);
    return done != 0 && errno == EISDIR ? rmdir(path) : done;
}

static int mkdir_any(int at, const char *name, mode_t mode) {
    char path[PATH_MAX];
    struct record r = {.kind = MKDIR};
    struct stat st;
    if (!watched_path(at, name, path) || fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return syscall(SYS_mkdirat, at, name, mode);
    pthread_mutex_lock(&S->lock);
    int action = arrive(&r);
    if (action == KILL_BEFORE) killed_before(&r, path, NULL);
    if (action == FAIL || action == SHORT) LOCKED(failed(&r, path, NULL));
    long done = syscall(SYS_mkdirat, at, name, mode);
    int saved = errno;
    if (done == 0 && fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        r.inode = st.st_ino;
        r.mode = st.st_mode;
    }
    r.inode2 = folder_inode(path);
    errno = saved;
    finish(&r, action, done, path, NULL, NULL, 0);
    LOCKED(done);
}
int mkdir(const char *path, mode_t mode) { return mkdir_any(AT_FDCWD, path, mode); }
int mkdirat(int at, const char *path, mode_t mode) { return mkdir_any(at, path, mode); }

static int link_any(int from_at, const char *from, int to_at, const char *to, int flags) {
    char path2[PATH_MAX];
    struct record r = {.kind = LINK};
    struct stat st;
    if (!watched_path(to_at, to, path2) || fstatat(from_at, from, &st, flags & AT_SYMLINK_FOLLOW ? 0 : AT_SYMLINK_NOFOLLOW) != 0)
        return syscall(SYS_linkat, from_at, from, to_at, to, flags);
    r.inode = st.st_ino;
    r.mode = st.st_mode;
    r.inode2 = folder_inode(path2);
    pthread_mutex_lock(&S->lock);
    NAMED(r, NULL, path2, syscall(SYS_linkat, from_at, from, to_at, to, flags));
}
int link(const char *from, const char *to) { return link_any(AT_FDCWD, from, AT_FDCWD, to, 0); }
int linkat(int from_at, const char *from, int to_at, const char *to, int flags) {
    return link_any(from_at, from, to_at, to, flags);
}
