#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace h1bench {

/// SHA-256 (FIPS 180-4) over bytes given piece by piece. Movable, not thread-safe.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  Sha256& Update(std::string_view bytes);
  Sha256& Update(std::span<const std::byte> bytes);
  /// Appends the length (8 bytes, little endian) and then the bytes: fields fed this way cannot run
  /// into each other.
  Sha256& UpdateField(std::string_view bytes);
  /// The digest; the object may only be destroyed or assigned afterwards.
  std::array<std::uint8_t, 32> Finish();
  std::string FinishHex();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// 64 lower-case hex digits.
std::string Sha256Hex(std::string_view bytes);

}  // namespace h1bench
