#pragma once

#include <napi.h>

#include <string>
#include <vector>

#include "inode_hits.h"

namespace abfs {

// The pairs of numbers in a Float64Array (an inode, and 1 when it has no extended attributes) as
// inodes; nothing else leaves any.
void ReadSettled(const Napi::Value& pairs, std::vector<SettledInode>* settled);

std::vector<std::string> StringsOf(const Napi::Array& values);

}  // namespace abfs
