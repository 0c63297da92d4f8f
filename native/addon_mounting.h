#pragma once

#include <napi.h>

namespace abfs {

// Adds the functions that mount and unmount, and pass descriptors, to the addon's exports.
void DefineMounting(Napi::Env env, Napi::Object exports);

}  // namespace abfs
