// What the addon exports. Each part checks arguments, converts and calls; failures of the system
// are negative errnos, a wrong argument is a TypeError.

#include <napi.h>

#include "addon_channel.h"
#include "addon_checksums.h"
#include "addon_granules.h"
#include "addon_mounting.h"
#include "addon_peers.h"

namespace {

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("NativeChannel", abfs::NativeChannel::Define(env));
  abfs::DefineMounting(env, exports);
  abfs::DefineChecksums(env, exports);
  abfs::DefineGranules(env, exports);
  abfs::DefinePeers(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(abfs, Init)
