#pragma once

#include <linux/fuse.h>

#include <cstddef>
#include <vector>

#include "data_hits.h"
#include "unique_fd.h"

namespace abfs {

// Sends bytes of files to the kernel by way of a pipe: it copies them once, from the page cache of
// the one to that of the other, where reading and writing them would take two. For one thread.
class Splicer {
 public:
  // Sends `head`, whose length counts all, and `parts` as one message. False when nothing was sent,
  // and another way is to be tried.
  bool Send(int device, const fuse_out_header& head, const std::vector<FilePart>& parts);

 private:
  bool Open();
  bool Fill(const fuse_out_header& head, const std::vector<FilePart>& parts);
  // What is left in the pipe goes with it.
  void Drop();

  UniqueFd in_;
  UniqueFd out_;
  size_t pages_ = 0;
  bool refused_ = false;
};

}  // namespace abfs
