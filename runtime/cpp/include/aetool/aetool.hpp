// aetool: a bundle's encoder and decoder in C++17, and compression with it. Header-only; the formats are those of
// runtime/FORMAT.md and runtime/BITSTREAM.md.
//
//     const auto model = aetool::Autoencoder::open("model.aepkg");          // every byte is checked
//     const std::vector<float> latent = model.encode(windows);              // raw values in, raw values out
//     const std::vector<float> restored = model.decode(latent);
//
// Errors. Functions throw aetool::Error, which names its refusal, or std::bad_alloc; nothing aborts or exits. Programs
// without exceptions of their own wrap a call: aetool::attempt([&] { ... }) throws nothing and gives a Result.
//
// Ownership. Everything returned by value is the caller's. An Autoencoder shares its Bundle. Readers and writers of
// streams borrow the Bundle, Compression and Autoencoder that they are given: those must outlive them, unmoved.
//
// Threads. A Bundle, a Compression and an Autoencoder may be used by any number of threads at once; a StreamReader,
// StreamWriter or Compressor by one at a time. Moving or destroying an object while another thread uses it is not allowed.
//
// ONNX Runtime is the host's: found while the program runs (onnxruntime.hpp says how), needed only by Autoencoder.
// Without it, bundles open and streams decompress all the same: leave autoencoder.hpp and compressor.hpp out.
#pragma once

#include "aetool/autoencoder.hpp"
#include "aetool/bundle.hpp"
#include "aetool/compressor.hpp"
#include "aetool/stream.hpp"
