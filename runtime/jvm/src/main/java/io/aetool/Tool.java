package io.aetool;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Path;
import java.nio.file.Paths;

/**
 * A gateway's program: self-test, compress a stream of windows from standard input to standard output, and back.
 *
 * <pre>
 * java -cp … io.aetool.Tool selftest BUNDLE
 * java -cp … io.aetool.Tool compress BUNDLE [--max-error E | --quality N] &lt; int16.raw &gt; recording.aes
 * java -cp … io.aetool.Tool decompress BUNDLE &lt; recording.aes &gt; int16.raw
 * </pre>
 */
public final class Tool {
    private Tool() {}

    /** Ends with 0, or with 1 and a message that begins with the refusal's name. */
    public static void main(String[] arguments) throws IOException {
        int code = run(arguments, System.in, System.out);
        System.out.flush();
        if (code != 0) System.exit(code);
    }

    static int run(String[] arguments, InputStream in, OutputStream out) throws IOException {
        try {
            Path path = arguments.length >= 2 ? Paths.get(arguments[1]) : null;
            String verb = path == null ? "" : arguments[0];
            switch (verb) {
                case "selftest": selfTest(path, out); break;
                case "compress": compress(path, options(arguments), in, out); break;
                case "decompress": decompress(path, in, out); break;
                default: throw Refusal.USAGE.because("selftest, compress or decompress, and a bundle");
            }
            return 0;
        } catch (AetoolException refused) {
            System.err.println("aetool-jvm: " + refused.refusal().label() + ": " + refused.getMessage());
            return 1;
        }
    }

    private static void selfTest(Path path, OutputStream out) throws IOException {
        boolean passed = true;
        try (Autoencoder model = Autoencoder.open(path)) {
            for (Check check : model.selfTest()) {
                passed &= check.passed();
                out.write((check + "\n").getBytes("UTF-8"));
            }
        }
        if (!passed) throw Refusal.UNAVAILABLE.because("the self-test failed");
    }

    private static Compressor.Options options(String[] arguments) {
        Compressor.Options options = new Compressor.Options();
        for (int i = 2; i < arguments.length; i += 2) {
            String value = i + 1 < arguments.length ? arguments[i + 1] : "";
            if (!value.matches("[0-9]{1,9}")) throw Refusal.USAGE.because(arguments[i] + " needs a number");
            switch (arguments[i]) {
                case "--max-error": options.maxError(Integer.parseInt(value)); break;
                case "--quality": options.quality(Integer.parseInt(value)); break;
                default: throw Refusal.USAGE.because("an unknown option: " + arguments[i]);
            }
        }
        return options;
    }

    private static void compress(Path path, Compressor.Options options, InputStream in, OutputStream out) throws IOException {
        try (Autoencoder model = Autoencoder.open(path)) {
            Compression compression = Compression.of(model.bundle());
            StreamHeader header = StreamHeader.recording(SampleType.INT16, compression.sampleShape());
            OutputStream buffered = new BufferedOutputStream(out);
            Compressor compressor = new Compressor(compression, model, header, options, buffered);
            byte[] rows = new byte[4096 * header.unitValues() * 2];
            for (int got = fill(in, rows); got > 0; got = fill(in, rows)) compressor.write(rows, 0, got);
            compressor.finish();
            buffered.flush();
        }
    }

    private static int fill(InputStream in, byte[] to) throws IOException {
        int filled = 0;
        while (filled < to.length) {
            int got = in.read(to, filled, to.length - filled);
            if (got < 0) break;
            filled += got;
        }
        return filled;
    }

    private static void decompress(Path path, InputStream in, OutputStream out) throws IOException {
        StreamReader reader = new StreamReader(in, Compression.of(Bundle.open(path)));
        for (Chunk chunk = reader.next(); chunk != null; chunk = reader.next()) out.write(chunk.bytes());
        out.flush();
    }
}
