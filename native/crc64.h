// The CRC-64 of Azure Storage: polynomial 0xAD93D23594C93659 reflected, ones in front and behind.
#ifndef ABFS_NATIVE_CRC64_H_
#define ABFS_NATIVE_CRC64_H_

#include <cstddef>
#include <cstdint>

namespace abfs {

// Goes on from `crc`, the CRC of what precedes `data` (0 for nothing). Any thread.
uint64_t Crc64(uint64_t crc, const uint8_t* data, size_t length);

}  // namespace abfs

#endif  // ABFS_NATIVE_CRC64_H_
