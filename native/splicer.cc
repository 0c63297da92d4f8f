#include "splicer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace abfs {

namespace {

constexpr size_t kPage = 4096;
// A message of a megabyte, its head, and a page that its beginning and its end share with others.
constexpr int kPipeBytes = 2 << 20;

}  // namespace

bool Splicer::Send(int device, const fuse_out_header& head, const std::vector<FilePart>& parts) {
  if (!Open()) return false;
  // Each part may begin and end within a page.
  if (head.len / kPage + 2 * (parts.size() + 1) > pages_) return false;
  if (!Fill(head, parts)) {
    Drop();
    return false;
  }
  ssize_t sent = -1;
  do {
    sent = ::splice(out_.get(), nullptr, device, nullptr, head.len, 0);
  } while (sent < 0 && errno == EINTR);
  if (sent == static_cast<ssize_t>(head.len)) return true;
  // ENOENT: the reader is gone meanwhile and needs no answer.
  const bool done = sent < 0 && errno == ENOENT;
  Drop();
  return done;
}

bool Splicer::Open() {
  if (in_.valid()) return true;
  if (refused_) return false;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) return false;
  out_ = UniqueFd(ends[0]);
  in_ = UniqueFd(ends[1]);
  const int bytes = ::fcntl(in_.get(), F_SETPIPE_SZ, kPipeBytes);
  // Without privileges a pipe has a megabyte at most: replies of less than that fit.
  const int granted = bytes < 0 ? ::fcntl(in_.get(), F_SETPIPE_SZ, kPipeBytes / 2) : bytes;
  refused_ = granted < 0;
  if (refused_) Drop();
  pages_ = refused_ ? 0 : static_cast<size_t>(granted) / kPage;
  return !refused_;
}

bool Splicer::Fill(const fuse_out_header& head, const std::vector<FilePart>& parts) {
  if (::write(in_.get(), &head, sizeof head) != static_cast<ssize_t>(sizeof head)) return false;
  for (const FilePart& part : parts) {
    auto offset = static_cast<loff_t>(part.offset);
    for (uint64_t left = part.size; left > 0;) {
      const ssize_t moved = ::splice(part.file->get(), &offset, in_.get(), nullptr,
                                     static_cast<size_t>(left), SPLICE_F_NONBLOCK);
      if (moved < 0 && errno == EINTR) continue;
      if (moved <= 0) return false;
      left -= static_cast<uint64_t>(moved);
    }
  }
  return true;
}

void Splicer::Drop() {
  in_.Reset();
  out_.Reset();
}

}  // namespace abfs
