#include "harness/store/vfs.h"

#include <cstdint>
#include <cstring>
#include <new>
#include <vector>

#include "base/planted.h"
#include "harness/store/failpoint.h"

// The method tables of SQLite are C: every function here is what
// https://sqlite.org/c3ref/io_methods.html and https://sqlite.org/c3ref/vfs.html say, handed on to
// the file or VFS below.
namespace h1bench {
namespace {

constexpr int kHeaderBytes = 100;  // https://sqlite.org/fileformat2.html, section 1.3
constexpr int kReservedAt = 20;    // bytes reserved at the end of every page

struct File {
  sqlite3_file base;                              // SQLite sees this one
  bool main = false;                              // a database, not its log
  bool checked = false;                           // its pages carry checksums
  std::vector<unsigned char>* scratch = nullptr;  // one page, for writing
  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

File* Mine(sqlite3_file* file) { return reinterpret_cast<File*>(file); }
sqlite3_file* Real(sqlite3_file* file) { return Mine(file)->real(); }

/// Every step is a bijection of the sum for a given word and of the word for a given sum: one
/// changed word always changes the result. The page's place is part of it: a page that lies where
/// another belongs is found.
std::uint64_t Checksum(const unsigned char* page, int bytes, sqlite3_int64 offset) {
  std::uint64_t sum = 0x9e3779b97f4a7c15ULL ^ static_cast<std::uint64_t>(offset);
  for (int at = 0; at + 8 <= bytes; at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, page + at, sizeof word);
    sum = (sum ^ word) * 0xff51afd7ed558ccdULL;
    sum ^= sum >> 32;
  }
  return sum;
}

int PageSize(const unsigned char* header) {
  const int size = header[16] << 8 | header[17];
  return size == 1 ? 65536 : size;
}

bool IsPage(int amount) { return amount >= 512 && (amount & (amount - 1)) == 0; }

/// Learns from the first page whether the file has checksums.
void LookAtHeader(File& file, const unsigned char* page, int amount, sqlite3_int64 offset) {
  if (offset != 0 || amount < kHeaderBytes) return;
  file.checked = page[kReservedAt] == kPageChecksumBytes && IsPage(PageSize(page));
}

int Close(sqlite3_file* file) {
  delete Mine(file)->scratch;
  Mine(file)->scratch = nullptr;
  return Real(file)->pMethods->xClose(Real(file));
}

int Read(sqlite3_file* file, void* buffer, int amount, sqlite3_int64 offset) {
  if (!Failpoint("io.", "read").ok()) return SQLITE_IOERR_READ;
  const int code = Real(file)->pMethods->xRead(Real(file), buffer, amount, offset);
  File& mine = *Mine(file);
  const bool short_read = code == SQLITE_IOERR_SHORT_READ;
  if (!mine.main || (code != SQLITE_OK && !short_read)) return code;
  const auto* page = static_cast<const unsigned char*>(buffer);
  if (!short_read) LookAtHeader(mine, page, amount, offset);
  if (!mine.checked || !IsPage(amount) || offset % amount != 0) return code;
  if (short_read) {
    // SQLite would go on with zeros. Behind the end of the file it may, in a page it may not.
    sqlite3_int64 size = 0;
    const int known = Real(file)->pMethods->xFileSize(Real(file), &size);
    return known == SQLITE_OK && size <= offset ? code : SQLITE_IOERR_DATA;
  }
  std::uint64_t stored = 0;
  std::memcpy(&stored, page + amount - kPageChecksumBytes, sizeof stored);
  if (Planted(Bug::kChecksumIgnored)) return SQLITE_OK;
  return stored == Checksum(page, amount - kPageChecksumBytes, offset) ? SQLITE_OK
                                                                       : SQLITE_IOERR_DATA;
}

int Write(sqlite3_file* file, const void* buffer, int amount, sqlite3_int64 offset) {
  if (!Failpoint("io.", "write").ok()) return SQLITE_IOERR_WRITE;
  if (!Failpoint("io.", "full").ok()) return SQLITE_FULL;
  File& mine = *Mine(file);
  const auto* page = static_cast<const unsigned char*>(buffer);
  if (mine.main) LookAtHeader(mine, page, amount, offset);
  if (mine.main && mine.checked && IsPage(amount) && offset % amount == 0) {
    try {
      if (mine.scratch == nullptr) mine.scratch = new std::vector<unsigned char>();
      mine.scratch->assign(page, page + amount);
    } catch (const std::bad_alloc&) {
      return SQLITE_IOERR_NOMEM;
    }
    const std::uint64_t sum = Checksum(page, amount - kPageChecksumBytes, offset);
    std::memcpy(mine.scratch->data() + amount - kPageChecksumBytes, &sum, sizeof sum);
    buffer = mine.scratch->data();
  }
  return Real(file)->pMethods->xWrite(Real(file), buffer, amount, offset);
}

int Truncate(sqlite3_file* file, sqlite3_int64 size) {
  if (!Failpoint("io.", "truncate").ok()) return SQLITE_IOERR_TRUNCATE;
  return Real(file)->pMethods->xTruncate(Real(file), size);
}
int Sync(sqlite3_file* file, int flags) {
  if (!Failpoint("io.", "sync").ok()) return SQLITE_IOERR_FSYNC;
  return Real(file)->pMethods->xSync(Real(file), flags);
}
int FileSize(sqlite3_file* file, sqlite3_int64* size) {
  return Real(file)->pMethods->xFileSize(Real(file), size);
}
int Lock(sqlite3_file* file, int level) { return Real(file)->pMethods->xLock(Real(file), level); }
int Unlock(sqlite3_file* file, int level) {
  return Real(file)->pMethods->xUnlock(Real(file), level);
}
int CheckReservedLock(sqlite3_file* file, int* out) {
  return Real(file)->pMethods->xCheckReservedLock(Real(file), out);
}
int FileControl(sqlite3_file* file, int op, void* argument) {
  return Real(file)->pMethods->xFileControl(Real(file), op, argument);
}
int SectorSize(sqlite3_file* file) { return Real(file)->pMethods->xSectorSize(Real(file)); }
int DeviceCharacteristics(sqlite3_file* file) {
  return Real(file)->pMethods->xDeviceCharacteristics(Real(file));
}
int ShmMap(sqlite3_file* file, int page, int size, int extend, void volatile** out) {
  return Real(file)->pMethods->xShmMap(Real(file), page, size, extend, out);
}
int ShmLock(sqlite3_file* file, int offset, int count, int flags) {
  return Real(file)->pMethods->xShmLock(Real(file), offset, count, flags);
}
void ShmBarrier(sqlite3_file* file) { Real(file)->pMethods->xShmBarrier(Real(file)); }
int ShmUnmap(sqlite3_file* file, int remove) {
  return Real(file)->pMethods->xShmUnmap(Real(file), remove);
}

/// Version 2: without xFetch, so that no page comes unchecked out of a mapping.
constexpr sqlite3_io_methods kMethods = {2,
                                         Close,
                                         Read,
                                         Write,
                                         Truncate,
                                         Sync,
                                         FileSize,
                                         Lock,
                                         Unlock,
                                         CheckReservedLock,
                                         FileControl,
                                         SectorSize,
                                         DeviceCharacteristics,
                                         ShmMap,
                                         ShmLock,
                                         ShmBarrier,
                                         ShmUnmap,
                                         nullptr,
                                         nullptr};

sqlite3_vfs* Below(sqlite3_vfs* vfs) { return static_cast<sqlite3_vfs*>(vfs->pAppData); }

int Open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  File* mine = new (file) File{};
  mine->main = (flags & SQLITE_OPEN_MAIN_DB) != 0;
  const int code = Below(vfs)->xOpen(Below(vfs), name, mine->real(), flags, out_flags);
  // SQLite closes what has methods, also after a failure.
  mine->base.pMethods = mine->real()->pMethods == nullptr ? nullptr : &kMethods;
  return code;
}
int Delete(sqlite3_vfs* vfs, const char* name, int sync) {
  return Below(vfs)->xDelete(Below(vfs), name, sync);
}
int Access(sqlite3_vfs* vfs, const char* name, int flags, int* out) {
  return Below(vfs)->xAccess(Below(vfs), name, flags, out);
}
int FullPathname(sqlite3_vfs* vfs, const char* name, int size, char* out) {
  return Below(vfs)->xFullPathname(Below(vfs), name, size, out);
}
int Randomness(sqlite3_vfs* vfs, int size, char* out) {
  return Below(vfs)->xRandomness(Below(vfs), size, out);
}
int Sleep(sqlite3_vfs* vfs, int microseconds) {
  return Below(vfs)->xSleep(Below(vfs), microseconds);
}
int CurrentTime(sqlite3_vfs* vfs, double* out) { return Below(vfs)->xCurrentTime(Below(vfs), out); }
int GetLastError(sqlite3_vfs* vfs, int size, char* out) {
  return Below(vfs)->xGetLastError(Below(vfs), size, out);
}
int CurrentTimeInt64(sqlite3_vfs* vfs, sqlite3_int64* out) {
  return Below(vfs)->xCurrentTimeInt64(Below(vfs), out);
}

int Register() {
  static sqlite3_vfs vfs = {};
  sqlite3_vfs* below = sqlite3_vfs_find(nullptr);
  if (below == nullptr) return SQLITE_ERROR;
  vfs.iVersion = 2;
  vfs.szOsFile = static_cast<int>(sizeof(File)) + below->szOsFile;
  vfs.mxPathname = below->mxPathname;
  vfs.zName = kVfsName;
  vfs.pAppData = below;
  vfs.xOpen = Open;
  vfs.xDelete = Delete;
  vfs.xAccess = Access;
  vfs.xFullPathname = FullPathname;
  vfs.xRandomness = Randomness;  // no xDlOpen: extensions are not loaded
  vfs.xSleep = Sleep;
  vfs.xCurrentTime = CurrentTime;
  vfs.xGetLastError = GetLastError;
  vfs.xCurrentTimeInt64 = CurrentTimeInt64;
  return sqlite3_vfs_register(&vfs, 0);
}

}  // namespace

void SealPages(std::string& database) {
  if (database.size() < kHeaderBytes) return;
  auto* bytes = reinterpret_cast<unsigned char*>(database.data());
  const int size = PageSize(bytes);
  if (bytes[kReservedAt] != kPageChecksumBytes || !IsPage(size)) return;
  const auto step = static_cast<std::size_t>(size);
  for (std::size_t at = 0; at + step <= database.size(); at += step) {
    const std::uint64_t sum =
        Checksum(bytes + at, size - kPageChecksumBytes, static_cast<sqlite3_int64>(at));
    std::memcpy(bytes + at + step - kPageChecksumBytes, &sum, sizeof sum);
  }
}

int RegisterVfs() {
  static const int code = Register();
  return code;
}

}  // namespace h1bench
