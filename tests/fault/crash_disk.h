#pragma once

#include <sqlite3.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <new>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "harness/store/vfs.h"

/// A disk in memory whose power can fail: what was written since a file's last sync may be lost,
/// may have reached the disk in any order, or may be garbage. While it is plugged in it is SQLite's
/// default file system, and below the store's own (harness/store/vfs.h).
namespace h1bench::fault {

enum class Damage { kDrop, kReorder, kGarbage };

class CrashDisk {
 public:
  static constexpr std::size_t kSector = 512;

  /// Power fails when so many writes, truncations, syncs and deletions were done; -1: never.
  void FailAt(std::int64_t operation) { fail_at_ = operation; }
  /// A disk that says "synced" and has done nothing.
  void Lie(bool lie) { lies_ = lie; }
  std::int64_t operations() const { return operations_; }
  bool off() const { return fail_at_ >= 0 && operations_ >= fail_at_; }

  /// The power is back: every file is what survived.
  void Restart(Damage damage, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    for (auto& [name, file] : files_) {
      std::string survived = file->durable;
      if (damage != Damage::kDrop) {
        std::shuffle(file->pending.begin(), file->pending.end(), random);
        for (const Change& change : file->pending)
          if (random() % 2 == 0) Survive(change, damage, random, survived);
      }
      file->now = file->durable = survived;
      file->pending.clear();
      file->shared.clear();
    }
    operations_ = 0;
    fail_at_ = -1;
  }
  /// A file's bytes, on the disk and synced.
  std::string Read(const std::string& name) const {
    const auto found = files_.find(name);
    return found == files_.end() ? "" : found->second->durable;
  }
  void Put(const std::string& name, const std::string& bytes) {
    auto& file = files_[name] = std::make_unique<Contents>();
    file->now = file->durable = bytes;
  }
  /// Unplugged files are gone.
  void Clear() { files_.clear(), operations_ = 0, fail_at_ = -1; }

  static CrashDisk& Instance();
  /// Takes the place of the machine's files, also for a store that was opened before, or gives it
  /// back. Nothing may be open.
  static void Plug(bool in);

 private:
  struct Change {
    bool truncate = false;
    std::size_t offset = 0;  // or the new size
    std::string bytes;
  };
  struct Contents {
    std::string now, durable;
    std::vector<Change> pending;
    std::map<int, std::vector<char>> shared;  // the log's index: memory, lost with the process
  };
  struct Handle {
    sqlite3_file base;
    Contents* contents;
  };

  static void Apply(const Change& change, std::string& to) {
    if (change.truncate) {
      to.resize(change.offset);
      return;
    }
    if (to.size() < change.offset + change.bytes.size())
      to.resize(change.offset + change.bytes.size());
    to.replace(change.offset, change.bytes.size(), change.bytes);
  }
  /// Sector by sector: some are on the disk, some are not, some hold what nobody wrote.
  static void Survive(const Change& change, Damage damage, std::mt19937_64& random,
                      std::string& to) {
    if (change.truncate) return Apply(change, to);
    for (std::size_t at = 0; at < change.bytes.size(); at += kSector) {
      Change sector{false, change.offset + at, change.bytes.substr(at, kSector)};
      if (random() % 3 == 0) continue;
      if (damage == Damage::kGarbage && random() % 3 == 0)
        for (char& byte : sector.bytes) byte = static_cast<char>(random());
      Apply(sector, to);
    }
  }

  /// False from the moment when the power is off.
  bool Operate() {
    if (off()) return false;
    ++operations_;
    return !off();
  }
  int Write(Contents& file, Change change) {
    if (!Operate()) return SQLITE_IOERR;
    Apply(change, file.now);
    file.pending.push_back(std::move(change));
    return SQLITE_OK;
  }
  int Sync(Contents& file) {
    if (!Operate()) return SQLITE_IOERR_FSYNC;
    if (lies_) return SQLITE_OK;
    file.durable = file.now;
    file.pending.clear();
    return SQLITE_OK;
  }
  int Delete(const std::string& name) {
    if (!Operate()) return SQLITE_IOERR_DELETE;
    return files_.erase(name) > 0 ? SQLITE_OK : SQLITE_IOERR_DELETE_NOENT;
  }

  static Contents& File(sqlite3_file* file) { return *reinterpret_cast<Handle*>(file)->contents; }
  static const sqlite3_io_methods& Methods();
  static int Open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out) {
    CrashDisk& disk = Instance();
    auto* handle = new (file) Handle{};
    if (name == nullptr || disk.off()) return SQLITE_CANTOPEN;
    auto& contents = disk.files_[name];
    if (contents == nullptr) {
      if ((flags & SQLITE_OPEN_CREATE) == 0) return SQLITE_CANTOPEN;
      contents = std::make_unique<Contents>();
    }
    handle->base.pMethods = &Methods();
    handle->contents = contents.get();
    if (out != nullptr) *out = flags;
    return SQLITE_OK;
  }

  std::map<std::string, std::unique_ptr<Contents>> files_;
  std::int64_t operations_ = 0, fail_at_ = -1;
  bool lies_ = false;
};

inline const sqlite3_io_methods& CrashDisk::Methods() {
  static const sqlite3_io_methods methods = [] {
    sqlite3_io_methods m = {};
    m.iVersion = 2;
    m.xClose = [](sqlite3_file*) { return SQLITE_OK; };
    m.xRead = [](sqlite3_file* file, void* buffer, int amount, sqlite3_int64 offset) {
      const std::string& bytes = File(file).now;
      const auto at = static_cast<std::size_t>(offset), wanted = static_cast<std::size_t>(amount);
      const std::size_t there = at < bytes.size() ? std::min(wanted, bytes.size() - at) : 0;
      if (there > 0) std::memcpy(buffer, bytes.data() + at, there);
      std::memset(static_cast<char*>(buffer) + there, 0, wanted - there);
      return there == wanted ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
    };
    m.xWrite = [](sqlite3_file* file, const void* buffer, int amount, sqlite3_int64 offset) {
      return Instance().Write(File(file), {false, static_cast<std::size_t>(offset),
                                           std::string(static_cast<const char*>(buffer),
                                                       static_cast<std::size_t>(amount))});
    };
    m.xTruncate = [](sqlite3_file* file, sqlite3_int64 size) {
      return Instance().Write(File(file), {true, static_cast<std::size_t>(size), ""});
    };
    m.xSync = [](sqlite3_file* file, int) { return Instance().Sync(File(file)); };
    m.xFileSize = [](sqlite3_file* file, sqlite3_int64* size) {
      *size = static_cast<sqlite3_int64>(File(file).now.size());
      return SQLITE_OK;
    };
    m.xLock = [](sqlite3_file*, int) { return SQLITE_OK; };
    m.xUnlock = [](sqlite3_file*, int) { return SQLITE_OK; };
    m.xCheckReservedLock = [](sqlite3_file*, int* out) { return *out = 0, SQLITE_OK; };
    m.xFileControl = [](sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; };
    m.xSectorSize = [](sqlite3_file*) { return static_cast<int>(kSector); };
    m.xDeviceCharacteristics = [](sqlite3_file*) { return 0; };
    m.xShmMap = [](sqlite3_file* file, int page, int size, int, void volatile** out) {
      std::vector<char>& memory = File(file).shared[page];
      memory.resize(static_cast<std::size_t>(size));
      *out = memory.data();
      return SQLITE_OK;
    };
    m.xShmLock = [](sqlite3_file*, int, int, int) { return SQLITE_OK; };
    m.xShmBarrier = [](sqlite3_file*) {};
    m.xShmUnmap = [](sqlite3_file* file, int) { return File(file).shared.clear(), SQLITE_OK; };
    return m;
  }();
  return methods;
}

inline CrashDisk& CrashDisk::Instance() {
  static CrashDisk disk;
  return disk;
}

inline void CrashDisk::Plug(bool in) {
  static sqlite3_vfs vfs = {};
  static sqlite3_vfs* const real = [] {
    sqlite3_vfs* const below = sqlite3_vfs_find(nullptr);
    vfs.iVersion = 2;
    // The store's file system keeps a file of the one below it in room of this size.
    vfs.szOsFile = std::max(static_cast<int>(sizeof(Handle)), below->szOsFile);
    vfs.mxPathname = 256;
    vfs.zName = "crash-disk";
    vfs.pAppData = below;
    vfs.xOpen = Open;
    vfs.xDelete = [](sqlite3_vfs*, const char* name, int) { return Instance().Delete(name); };
    vfs.xAccess = [](sqlite3_vfs*, const char* name, int, int* out) {
      const auto& files = Instance().files_;
      const auto found = files.find(name);
      *out = found != files.end() && !found->second->now.empty() ? 1 : 0;
      return SQLITE_OK;
    };
    vfs.xFullPathname = [](sqlite3_vfs*, const char* name, int size, char* out) {
      sqlite3_snprintf(size, out, "%s", name);
      return SQLITE_OK;
    };
    vfs.xGetLastError = below->xGetLastError;
    vfs.xRandomness = below->xRandomness;
    vfs.xSleep = [](sqlite3_vfs*, int) { return 0; };
    vfs.xCurrentTime = below->xCurrentTime;
    vfs.xCurrentTimeInt64 = below->xCurrentTimeInt64;
    return below;
  }();
  sqlite3_vfs* const below = in ? &vfs : real;
  sqlite3_vfs_register(below, 1);
  if (sqlite3_vfs* const store = sqlite3_vfs_find(kVfsName)) store->pAppData = below;
}

}  // namespace h1bench::fault
