// The CRC-32 of IEEE 802.3, as in zlib: polynomial 0x04C11DB7 reflected, ones in front and behind.
#ifndef ABFS_NATIVE_CRC32_H_
#define ABFS_NATIVE_CRC32_H_

#include <cstddef>
#include <cstdint>

namespace abfs {

// The CRC of `data`. Any thread.
uint32_t Crc32(const uint8_t* data, size_t length);

}  // namespace abfs

#endif  // ABFS_NATIVE_CRC32_H_
