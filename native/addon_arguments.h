#pragma once

#include <napi.h>

#include <string>
#include <vector>

#include "inode_hits.h"

namespace abfs {

// The pairs of numbers in a Float64Array (an inode, and 1 when it has no extended attributes) as
// inodes; nothing else leaves any.
void ReadSettled(const Napi::Value& pairs, std::vector<SettledInode>* settled);

// What FUSE_GETATTR would be answered of some inodes: a fuse_attr_out each, whose `dummy` is 1
// where the inode has no extended attributes of its owner's. Nothing but a Uint8Array leaves any.
void ReadTold(const Napi::Value& bytes, std::vector<ToldInode>* told);

bool IsUint8Array(const Napi::Value& value);

std::vector<std::string> StringsOf(const Napi::Array& values);

}  // namespace abfs
