#include "crc32.h"

#include "crc_tables.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace abfs {
namespace {

using Tables = CrcTables<uint32_t, 0xEDB88320>;

#if defined(__x86_64__)

// Powers of x by which 64 bits move 512 and 128 bits on, reflected: "Fast CRC Computation for
// Generic Polynomials Using PCLMULQDQ Instruction" (Intel, 2009).
constexpr uint64_t kFold512[] = {0x0154442bd4, 0x01c6e41596};
constexpr uint64_t kFold128[] = {0x01751997d0, 0x00ccaa009e};

__attribute__((target("pclmul,sse4.1"))) inline __m128i Fold(__m128i value, __m128i by,
                                                             __m128i next) {
  const __m128i low = _mm_clmulepi64_si128(value, by, 0x00);
  const __m128i high = _mm_clmulepi64_si128(value, by, 0x11);
  return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

__attribute__((target("pclmul,sse4.1"))) inline __m128i Load(const void* data) {
  return _mm_loadu_si128(static_cast<const __m128i*>(data));
}

// Four folds side by side: one waits for none of the others. At least 64 bytes.
__attribute__((target("pclmul,sse4.1"))) uint32_t ByFolding(uint32_t crc, const uint8_t* data,
                                                            size_t length) {
  const __m128i far = Load(kFold512);
  const __m128i near = Load(kFold128);
  __m128i lanes[4];
  for (size_t lane = 0; lane < 4; ++lane) lanes[lane] = Load(data + 16 * lane);
  lanes[0] = _mm_xor_si128(lanes[0], _mm_cvtsi32_si128(static_cast<int32_t>(crc)));
  for (data += 64, length -= 64; length >= 64; data += 64, length -= 64) {
    for (size_t lane = 0; lane < 4; ++lane) {
      lanes[lane] = Fold(lanes[lane], far, Load(data + 16 * lane));
    }
  }
  __m128i value = lanes[0];
  for (size_t lane = 1; lane < 4; ++lane) value = Fold(value, near, lanes[lane]);
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

uint32_t Crc32(const uint8_t* data, size_t length) {
#if defined(__x86_64__)
  if (length >= 64 && CanFold()) return ~ByFolding(~uint32_t{0}, data, length);
#endif
  return ~Tables::Update(~uint32_t{0}, data, length);
}

}  // namespace abfs
