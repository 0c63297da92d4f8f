#include "mount_linux.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "unique_fd.h"

namespace abfs {

namespace {

// What fuse_parse_param of the kernel reads; access is checked by the kernel from mode and owner.
std::string FuseData(int device, const MountOptions& options) {
  char fixed[128];
  std::snprintf(fixed, sizeof fixed, "fd=%d,rootmode=%o,user_id=%u,group_id=%u,max_read=%u", device,
                static_cast<unsigned>(S_IFDIR), static_cast<unsigned>(::geteuid()),
                static_cast<unsigned>(::getegid()), options.max_read_bytes);
  std::string data(fixed);
  data += ",default_permissions";
  if (options.allow_other) data += ",allow_other";
  return data;
}

}  // namespace

int MountFuse(const MountOptions& options) {
  UniqueFd device(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (!device.valid()) return -errno;
  // A blob's metadata must not make a program setuid or a name a device.
  unsigned long flags = MS_NOSUID | MS_NODEV;
  if (options.read_only) flags |= MS_RDONLY;
  const std::string data = FuseData(device.get(), options);
  if (::mount(options.source.c_str(), options.target.c_str(), "fuse.abfs", flags, data.c_str()) <
      0) {
    return -errno;
  }
  return device.Release();
}

int UnmountFuse(const std::string& target, bool lazy) {
  const int flags = UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0);
  return ::umount2(target.c_str(), flags) < 0 ? -errno : 0;
}

int MakeSocketPair(int sockets[2]) {
  return ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0 ? -errno : 0;
}

int ReceiveDescriptor(int socket) {
  char byte = 0;
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t length = 0;
  do {
    length = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  } while (length < 0 && errno == EINTR);
  if (length < 0) return -errno;
  const cmsghdr* header = length == 0 ? nullptr : CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS) return -ENOMSG;
  int descriptor = -1;
  std::memcpy(&descriptor, CMSG_DATA(header), sizeof descriptor);
  return descriptor;
}

int SendDescriptor(int socket, int descriptor) {
  char byte = 0;
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  ssize_t length = 0;
  do {
    length = ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (length < 0 && errno == EINTR);
  return length < 0 ? -errno : 0;
}

}  // namespace abfs
