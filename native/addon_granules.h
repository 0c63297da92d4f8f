#pragma once

#include <napi.h>

namespace abfs {

// Adds the functions of the disk cache's files to the addon's exports.
void DefineGranules(Napi::Env env, Napi::Object exports);

}  // namespace abfs
