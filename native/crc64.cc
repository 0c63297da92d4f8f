#include "crc64.h"

#include <cstring>

#include "crc_tables.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace abfs {
namespace {

using Tables = CrcTables<uint64_t, 0x9A6C9329AC4BC9B5>;

#if defined(__x86_64__)

// Powers of x by which 64 bits move 1024 and 128 bits on, reflected: "Fast CRC Computation for
// Generic Polynomials Using PCLMULQDQ Instruction" (Intel, 2009).
constexpr uint64_t kFold1024[] = {0xa1ca681e733f9c40, 0x5f852fb61e8d92dc};
constexpr uint64_t kFold128[] = {0xeadc41fd2ba3d420, 0x21e9761e252621ac};

__attribute__((target("pclmul,sse4.1"))) inline __m128i Fold(__m128i value, __m128i by,
                                                             __m128i next) {
  const __m128i low = _mm_clmulepi64_si128(value, by, 0x00);
  const __m128i high = _mm_clmulepi64_si128(value, by, 0x11);
  return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

__attribute__((target("pclmul,sse4.1"))) inline __m128i Load(const uint8_t* data) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(data));
}

// Eight folds side by side: one waits for none of the others. At least 128 bytes.
__attribute__((target("pclmul,sse4.1"))) uint64_t ByFolding(uint64_t crc, const uint8_t* data,
                                                            size_t length) {
  const __m128i far = Load(reinterpret_cast<const uint8_t*>(kFold1024));
  const __m128i near = Load(reinterpret_cast<const uint8_t*>(kFold128));
  __m128i lanes[8];
  for (size_t lane = 0; lane < 8; ++lane) lanes[lane] = Load(data + 16 * lane);
  lanes[0] = _mm_xor_si128(lanes[0], _mm_cvtsi64_si128(static_cast<int64_t>(crc)));
  for (data += 128, length -= 128; length >= 128; data += 128, length -= 128) {
    for (size_t lane = 0; lane < 8; ++lane) {
      lanes[lane] = Fold(lanes[lane], far, Load(data + 16 * lane));
    }
  }
  __m128i value = lanes[0];
  for (size_t lane = 1; lane < 8; ++lane) value = Fold(value, near, lanes[lane]);
  for (; length >= 16; data += 16, length -= 16) value = Fold(value, near, Load(data));
  uint8_t rest[16];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(rest), value);
  return Tables::Update(Tables::Update(0, rest, sizeof rest), data, length);
}

bool CanFold() {
  static const bool can = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
  return can;
}

#endif

}  // namespace

uint64_t Crc64(uint64_t crc, const uint8_t* data, size_t length) {
#if defined(__x86_64__)
  if (length >= 128 && CanFold()) return ~ByFolding(~crc, data, length);
#endif
  return ~Tables::Update(~crc, data, length);
}

}  // namespace abfs
