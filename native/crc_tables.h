// CRCs of any polynomial, reflected, by tables: for processors without carry-less multiplication,
// and for ends.
#ifndef ABFS_NATIVE_CRC_TABLES_H_
#define ABFS_NATIVE_CRC_TABLES_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace abfs {

template <typename Crc, Crc kPolynomial>
class CrcTables {
 public:
  // Goes on from `crc`, eight bytes at once.
  static Crc Update(Crc crc, const uint8_t* data, size_t length) {
    for (; length >= 8; data += 8, length -= 8) {
      // In the order that every machine can say.
      uint64_t word = crc;
      for (int at = 0; at < 8; ++at) word ^= static_cast<uint64_t>(data[at]) << (8 * at);
      crc = 0;
      for (size_t at = 0; at < 8; ++at) crc ^= kTables[7 - at][(word >> (8 * at)) & 255];
    }
    for (; length > 0; ++data, --length) crc = (crc >> 8) ^ kTables[0][(crc ^ *data) & 255];
    return crc;
  }

 private:
  // Table n holds what a byte does with n bytes after it.
  using Tables = std::array<std::array<Crc, 256>, 8>;

  static constexpr Tables Make() {
    Tables tables{};
    for (Crc byte = 0; byte < 256; ++byte) {
      Crc crc = byte;
      for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
      tables[0][byte] = crc;
    }
    for (size_t table = 1; table < 8; ++table) {
      for (size_t byte = 0; byte < 256; ++byte) {
        const Crc crc = tables[table - 1][byte];
        tables[table][byte] = (crc >> 8) ^ tables[0][crc & 255];
      }
    }
    return tables;
  }

  static const Tables kTables;
};

template <typename Crc, Crc kPolynomial>
constexpr typename CrcTables<Crc, kPolynomial>::Tables CrcTables<Crc, kPolynomial>::kTables =
    CrcTables<Crc, kPolynomial>::Make();

}  // namespace abfs

#endif  // ABFS_NATIVE_CRC_TABLES_H_
