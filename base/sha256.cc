#include "base/sha256.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include <cstdlib>
#include <new>

namespace h1bench {

struct Sha256::Impl {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~Impl() { EVP_MD_CTX_free(context); }
};

namespace {

/// SHA-256 is always there; what may be missing is memory. OpenSSL's list of errors keeps copies of
/// names until it is cleared.
[[noreturn]] void NoMemory() {
  ERR_clear_error();
  throw std::bad_alloc();
}

/// Looked up once: EVP_sha256() is looked up anew by every digest.
const EVP_MD* Method() {
  static const EVP_MD* const method = [] {
    const EVP_MD* found = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    if (found == nullptr) NoMemory();
    return found;
  }();
  return method;
}

}  // namespace

Sha256::Sha256() : impl_(std::make_unique<Impl>()) {
  if (impl_->context == nullptr || EVP_DigestInit_ex(impl_->context, Method(), nullptr) != 1)
    NoMemory();
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

Sha256& Sha256::Update(std::string_view bytes) {
  return Update(std::as_bytes(std::span(bytes.data(), bytes.size())));
}

Sha256& Sha256::Update(std::span<const std::byte> bytes) {
  if (EVP_DigestUpdate(impl_->context, bytes.data(), bytes.size()) != 1) std::abort();
  return *this;
}

Sha256& Sha256::UpdateField(std::string_view bytes) {
  char length[8];
  for (int i = 0; i < 8; ++i) length[i] = static_cast<char>((bytes.size() >> (8 * i)) & 0xff);
  return Update(std::string_view(length, 8)).Update(bytes);
}

std::array<std::uint8_t, 32> Sha256::Finish() {
  std::array<std::uint8_t, 32> digest{};
  unsigned int length = 0;
  if (EVP_DigestFinal_ex(impl_->context, digest.data(), &length) != 1) std::abort();
  return digest;
}

std::string Sha256::FinishHex() {
  std::string hex;
  for (const std::uint8_t byte : Finish()) hex += fmt::format("{:02x}", byte);
  return hex;
}

std::string Sha256Hex(std::string_view bytes) { return Sha256().Update(bytes).FinishHex(); }

}  // namespace h1bench
