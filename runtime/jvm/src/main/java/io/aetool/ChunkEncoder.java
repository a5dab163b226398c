package io.aetool;

import java.util.Arrays;

/** Chooses how a chunk is coded: by a codec, by prediction, or stored. */
final class ChunkEncoder {
    private final Compression compression;
    private final LatentSource encoder;
    private final StreamHeader header;
    private final Compressor.Options options;
    private final Scaling scaling;
    private final ChunkDecoder decoder;

    ChunkEncoder(Compression compression, LatentSource encoder, StreamHeader header, Compressor.Options options) {
        this.compression = compression;
        this.encoder = encoder;
        this.header = header;
        this.options = options;
        this.scaling = new Scaling(header, compression);
        this.decoder = new ChunkDecoder(header, compression);
    }

    /** {@code values}: {@code count} rows of a recording, or samples. */
    CodedChunk encode(byte[] values, int count) {
        int rows = header.recording ? (int) header.shape[0] : 1;
        int samples = (count + rows - 1) / rows;
        byte[] padded = padded(values, samples);
        double[] real = real(padded);
        CodedChunk stored = stored(padded, real);
        if (samples == 0 || !allOnGrid(real)) return stored;
        long[] n = new long[real.length];
        for (int i = 0; i < n.length; i++) n[i] = (long) Math.rint(real[i] / scaling.grid);
        CodedChunk best = stored;
        for (int i = 0; i < compression.codecs.size(); i++) best = cheaper(byCodec(i, real, n, samples), best);
        return cheaper(byPrediction(n, samples), best);
    }

    private static CodedChunk cheaper(CodedChunk offered, CodedChunk best) {
        return offered != null && offered.cost < best.cost ? offered : best;
    }

    /** With the last row again, until the last sample is whole. */
    private byte[] padded(byte[] values, int samples) {
        byte[] padded = Arrays.copyOf(values, samples * header.values() * header.type.bytes());
        int row = header.unitValues() * header.type.bytes();
        for (int i = values.length; i < padded.length; i++) padded[i] = padded[i - row];
        return padded;
    }

    private double[] real(byte[] bytes) {
        int width = header.type.bytes();
        double[] real = new double[bytes.length / width];
        for (int i = 0; i < real.length; i++) real[i] = header.type.real(bytes, i * width);
        return real;
    }

    private CodedChunk stored(byte[] padded, double[] real) {
        boolean isFloat = header.type == SampleType.FLOAT32;
        CodedChunk made = new CodedChunk(0, padded, isFloat ? null : Arrays.stream(real).mapToLong(value -> (long) value).toArray());
        made.cost = 8.0 * padded.length;
        return made;
    }

    private boolean allOnGrid(double[] real) {
        double most = header.type.high * scaling.grid;
        double least = Math.max(header.type.low, -Integer.MAX_VALUE) * scaling.grid; // prediction goes no further
        for (double value : real) {
            if (!(value >= least && value <= most)) return false; // NaN, too
        }
        return true;
    }

    private Quality target() {
        if (compression.codecs.isEmpty()) return null;
        return quality(compression.codecs.get(options.codec));
    }

    private Quality quality(Codec codec) {
        return codec.qualities.get(Math.min(options.quality, codec.qualities.size() - 1));
    }

    private long residualStep() {
        return options.maxError >= 0 ? 2 * options.maxError + 1 : 0;
    }

    /** Bits and, without a promise, what the distortion is worth: at high rates dR/dD = 1 / (2 ln 2 · D). */
    private CodedChunk priced(CodedChunk made, long[] n) {
        made.cost = 8.0 * made.payload.length;
        Quality quality = target();
        if (options.maxError >= 0 || quality == null || quality.rmse <= 0) return made;
        double unit = quality.rmse / scaling.grid;
        double squares = 0;
        for (int i = 0; i < n.length; i++) squares += Math.pow((n[i] - made.n[i]) / unit, 2);
        made.cost += squares / (2 * Math.log(2));
        return made;
    }

    /** Null: a codec whose latents are the transpose of its decoder, which this library does not compute. */
    private CodedChunk byCodec(int index, double[] real, long[] n, int samples) {
        Codec codec = compression.codecs.get(index);
        if (codec.adjoint || encoder == null) return null;
        long[] latent = codec.latentOf(header.shape, Refusal.INPUT);
        Quality quality = quality(codec);
        int[] symbols = symbols(codec, quality, real, latent);
        int[] shape = ChunkDecoder.symbolShape(samples, latent);
        long[] met = decoder.predictions(codec, quality, symbols, latent, samples);
        long step = residualStep();
        ByteWriter payload = new ByteWriter(codec.qualities.indexOf(quality)).varint(step);
        payload.bytes(compression.coder.encode(symbols, shape, quality.model, 0));
        if (step != 0) {
            byte[] residual = residual(n, met, step);
            if (residual == null) return null;
            payload.bytes(residual);
        }
        return priced(new CodedChunk(index + 2, payload.toBytes(), met), n);
    }

    /** Codes what is missing from {@code met}, and adds it; null where that takes more than 32 bits. */
    private byte[] residual(long[] n, long[] met, long step) {
        int[] residual = new int[n.length];
        for (int i = 0; i < n.length; i++) {
            long u = PredictiveEncoder.nearest(n[i] - met[i], step);
            if (u != (int) u) return null;
            residual[i] = (int) u;
            met[i] = scaling.clamp(met[i] + step * residual[i]);
        }
        return compression.coder.encode(residual, new int[] {1, residual.length, 1}, compression.residual, 0);
    }

    private int[] symbols(Codec codec, Quality quality, double[] real, long[] latent) {
        float[] given = new float[real.length];
        for (int i = 0; i < given.length; i++) given[i] = (float) real[i];
        float[] latents = encoder.encode(header.shape, given);
        long wanted = PredictiveDecoder.product(latent, 0, latent.length) * (given.length / header.values());
        if (latents.length != wanted) throw Refusal.UNAVAILABLE.because("the encoder returned another number of values");
        int[] symbols = new int[latents.length];
        for (int i = 0; i < symbols.length; i++) {
            int c = i % codec.channels();
            double v = latents[i] / codec.unit[c] - codec.center[c];
            double size = Math.floor(Math.abs(v) / quality.step[c] + quality.rounding);
            int kept = Double.isNaN(size) || Double.isInfinite(size) ? 0 : (int) Math.min(size, 65536);
            symbols[i] = v < 0 ? -kept : kept;
        }
        return symbols;
    }

    private CodedChunk byPrediction(long[] n, int samples) {
        long r = Math.max(residualStep(), 1);
        Quality quality = target();
        if (options.maxError < 0 && quality != null && quality.rmse > 0) {
            double wanted = Math.sqrt(12) * quality.rmse / scaling.grid;
            r = Math.min(2 * (long) (Math.min(wanted, 2e6) / 2) + 1, PredictiveDecoder.STEP_LIMIT);
        }
        byte[] payload = new PredictiveEncoder(compression, samples, header.shape).encode(n, r);
        if (payload == null) return null;
        long[] met = new long[n.length];
        for (int i = 0; i < n.length; i++) met[i] = scaling.clamp(r * PredictiveEncoder.nearest(n[i], r));
        return priced(new CodedChunk(1, payload, met), n);
    }
}
