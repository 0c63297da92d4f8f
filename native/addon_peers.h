#pragma once

#include <napi.h>

namespace abfs {

// Adds to the addon's exports what tells who is at the other end of a Unix socket.
void DefinePeers(Napi::Env env, Napi::Object exports);

}  // namespace abfs
