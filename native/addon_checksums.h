#pragma once

#include <napi.h>

namespace abfs {

// Adds the checksum functions to the addon's exports.
void DefineChecksums(Napi::Env env, Napi::Object exports);

}  // namespace abfs
