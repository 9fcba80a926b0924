/*
 * A disk that does what a test says: preloaded into the program under test, it sees each call that
 * concerns the database, writes down what reaches the disk and in which order, and fails calls on
 * demand. It also sets the wall clock.
 *
 * DISK_DB     the database; its -wal and -journal and its directory are watched too
 * DISK_TRACE  where calls are written down; unset: nowhere
 * DISK_ORDERS a file of 64 bytes that says what fails, see struct orders
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct orders {
    uint8_t full;        /* writes find no room but that of the reserve file, once it is removed */
    uint8_t unsynced;    /* syncs fail */
    uint8_t unread;      /* reads of the database in [low, high) fail */
    uint8_t rest[5];
    uint64_t low;
    uint64_t high;
    int64_t wall;        /* seconds that the wall clock is ahead */
    uint64_t nth;        /* the call that fails, from 1; 0: none */
    uint8_t onward;      /* those after it fail too */
    uint8_t dying;       /* the write of the database itself, not of its log, that is half done when
                            the process is killed, from 1; 0: none. In a running program such a
                            write is a part of a checkpoint. */
    uint8_t more[6];
    uint64_t calls;      /* calls so far: the answer to the test */
};

struct record {
    uint8_t kind;
    uint8_t file;
    uint16_t reserved;
    uint32_t length;
    uint64_t offset;
};

enum { NONE, DATABASE, LOG, JOURNAL, DIRECTORY };
enum { FILES = 4096 };

static volatile uint8_t files[FILES];
static struct orders *orders;
static int trace = -1;
static char db[PATH_MAX];
static char dir[PATH_MAX];
static size_t db_length;
/* What the reserve file has given back. */
static volatile int64_t room;

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("DISK_DB");
    if (path == NULL || strlen(path) >= sizeof db) return;
    strcpy(db, path);
    db_length = strlen(db);
    strcpy(dir, db);
    char *slash = strrchr(dir, '/');
    if (slash != NULL) *slash = 0;
    path = getenv("DISK_TRACE");
    if (path != NULL) trace = REAL(open)(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    path = getenv("DISK_ORDERS");
    if (path == NULL) return;
    int fd = REAL(open)(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    void *seen = mmap(NULL, 64, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (seen != MAP_FAILED) orders = seen;
    REAL(close)(fd);
}

static uint8_t kind_of(const char *path) {
    if (db_length == 0 || path == NULL) return NONE;
    if (strcmp(path, dir) == 0) return DIRECTORY;
    if (strncmp(path, db, db_length) != 0) return NONE;
    if (path[db_length] == 0) return DATABASE;
    if (strcmp(path + db_length, "-wal") == 0) return LOG;
    if (strcmp(path + db_length, "-journal") == 0) return JOURNAL;
    return NONE;
}

static uint8_t file_of(int fd) { return fd >= 0 && fd < FILES ? files[fd] : NONE; }

static void note(uint8_t kind, uint8_t file, uint64_t offset, const void *data, size_t length) {
    if (trace < 0 || file == NONE) return;
    int before = errno;
    struct record record = {kind, file, 0, (uint32_t)length, offset};
    struct iovec parts[2] = {{&record, sizeof record}, {(void *)data, length}};
    /* One call: records of two threads do not mix. */
    if (writev(trace, parts, 2) < 0) abort();
    errno = before;
}

static int opened(int fd, const char *path, int is_new) {
    if (fd < 0 || fd >= FILES) return fd;
    files[fd] = kind_of(path);
    if (is_new) note('O', files[fd], 0, NULL, 0);
    return fd;
}

static int is_new(const char *path, int flags) {
    return (flags & O_CREAT) && kind_of(path) != NONE && access(path, F_OK) != 0;
}

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list list; \
        va_start(list, flags); \
        mode = va_arg(list, mode_t); \
        va_end(list); \
    }

int open(const char *path, int flags, ...) {
    MODE(flags)
    int fresh = is_new(path, flags);
    return opened(REAL(open)(path, flags, mode), path, fresh);
}

int open64(const char *path, int flags, ...) {
    MODE(flags)
    int fresh = is_new(path, flags);
    return opened(REAL(open64)(path, flags, mode), path, fresh);
}

int openat(int at, const char *path, int flags, ...) {
    MODE(flags)
    int fresh = is_new(path, flags);
    return opened(REAL(openat)(at, path, flags, mode), path, fresh);
}

int openat64(int at, const char *path, int flags, ...) {
    MODE(flags)
    int fresh = is_new(path, flags);
    return opened(REAL(openat64)(at, path, flags, mode), path, fresh);
}

int close(int fd) {
    if (fd >= 0 && fd < FILES) files[fd] = NONE;
    return REAL(close)(fd);
}

/* Counts a call, and tells whether it is the one that is to fail. */
static int is_failing(int fd) {
    if (orders == NULL || file_of(fd) == NONE) return 0;
    uint64_t call = __atomic_add_fetch(&orders->calls, 1, __ATOMIC_SEQ_CST);
    uint64_t nth = __atomic_load_n(&orders->nth, __ATOMIC_SEQ_CST);
    if (nth == 0 || call < nth || (call > nth && !orders->onward)) return 0;
    errno = EIO;
    return 1;
}

static uint8_t order(uint8_t *which) { return __atomic_load_n(which, __ATOMIC_SEQ_CST); }

static int is_full(int fd, size_t length) {
    if (is_failing(fd)) return 1;
    if (orders == NULL || file_of(fd) == NONE || !order(&orders->full)) return 0;
    if (__atomic_sub_fetch(&room, (int64_t)length, __ATOMIC_SEQ_CST) >= 0) return 0;
    __atomic_add_fetch(&room, (int64_t)length, __ATOMIC_SEQ_CST);
    errno = ENOSPC;
    return 1;
}

static int is_unread(int fd, uint64_t offset, size_t length) {
    if (is_failing(fd)) return 1;
    if (orders == NULL || file_of(fd) != DATABASE || !order(&orders->unread)) return 0;
    if (offset + length <= orders->low || offset >= orders->high) return 0;
    errno = EIO;
    return 1;
}

static int is_unsynced(int fd) {
    if (is_failing(fd)) return 1;
    if (orders == NULL || file_of(fd) == NONE || !order(&orders->unsynced)) return 0;
    errno = EIO;
    return 1;
}

static int is_deadly(int fd) {
    if (orders == NULL || file_of(fd) != DATABASE || order(&orders->dying) == 0) return 0;
    return __atomic_sub_fetch(&orders->dying, 1, __ATOMIC_SEQ_CST) == 0;
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) {
    if (is_full(fd, length)) return -1;
    if (is_deadly(fd) && REAL(pwrite)(fd, data, length / 2, offset) >= 0) die();
    ssize_t done = REAL(pwrite)(fd, data, length, offset);
    if (done > 0) note('W', file_of(fd), (uint64_t)offset, data, (size_t)done);
    return done;
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) {
    if (is_full(fd, length)) return -1;
    if (is_deadly(fd) && REAL(pwrite64)(fd, data, length / 2, offset) >= 0) die();
    ssize_t done = REAL(pwrite64)(fd, data, length, offset);
    if (done > 0) note('W', file_of(fd), (uint64_t)offset, data, (size_t)done);
    return done;
}

ssize_t write(int fd, const void *data, size_t length) {
    if (file_of(fd) == NONE) return REAL(write)(fd, data, length);
    if (is_full(fd, length)) return -1;
    off_t offset = lseek(fd, 0, SEEK_CUR);
    ssize_t done = REAL(write)(fd, data, length);
    if (done > 0) note('W', file_of(fd), (uint64_t)offset, data, (size_t)done);
    return done;
}

ssize_t pread(int fd, void *data, size_t length, off_t offset) {
    if (is_unread(fd, (uint64_t)offset, length)) return -1;
    return REAL(pread)(fd, data, length, offset);
}

ssize_t pread64(int fd, void *data, size_t length, off64_t offset) {
    if (is_unread(fd, (uint64_t)offset, length)) return -1;
    return REAL(pread64)(fd, data, length, offset);
}

ssize_t read(int fd, void *data, size_t length) {
    if (file_of(fd) != NONE && is_unread(fd, (uint64_t)lseek(fd, 0, SEEK_CUR), length)) return -1;
    return REAL(read)(fd, data, length);
}

int ftruncate(int fd, off_t length) {
    if (is_failing(fd)) return -1;
    int done = REAL(ftruncate)(fd, length);
    if (done == 0) note('T', file_of(fd), (uint64_t)length, NULL, 0);
    return done;
}

int ftruncate64(int fd, off64_t length) {
    if (is_failing(fd)) return -1;
    int done = REAL(ftruncate64)(fd, length);
    if (done == 0) note('T', file_of(fd), (uint64_t)length, NULL, 0);
    return done;
}

int fsync(int fd) {
    if (is_unsynced(fd)) return -1;
    int done = REAL(fsync)(fd);
    if (done == 0) note('S', file_of(fd), 0, NULL, 0);
    return done;
}

int fdatasync(int fd) {
    if (is_unsynced(fd)) return -1;
    int done = REAL(fdatasync)(fd);
    if (done == 0) note('S', file_of(fd), 0, NULL, 0);
    return done;
}

int unlink(const char *path) {
    struct stat reserve = {0};
    int is_reserve = db_length > 0 && strncmp(path, db, db_length) == 0 &&
                     strcmp(path + db_length, ".reserve") == 0 && stat(path, &reserve) == 0;
    int done = REAL(unlink)(path);
    if (done != 0) return done;
    note('U', kind_of(path), 0, NULL, 0);
    if (is_reserve) __atomic_add_fetch(&room, (int64_t)reserve.st_size, __ATOMIC_SEQ_CST);
    return done;
}

int rename(const char *from, const char *to) {
    uint8_t file = kind_of(from);
    int done = REAL(rename)(from, to);
    if (done == 0 && file != NONE) note('U', file, 0, NULL, 0);
    return done;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int done = REAL(clock_gettime)(clock, time);
    if (done == 0 && clock == CLOCK_REALTIME && orders != NULL) time->tv_sec += __atomic_load_n(&orders->wall, __ATOMIC_SEQ_CST);
    return done;
}
