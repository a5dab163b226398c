package io.aetool;

import java.util.ArrayList;
import java.util.List;

/**
 * What a bundle brings for compression (BITSTREAM.md, sections 1 to 4), read and checked. Immutable; any number of threads
 * may use it.
 */
public final class Compression {
    final Bundle bundle;
    long[] sampleShape;
    double outputUnit;
    long multiplier;
    int shift;
    int residual;
    Coder coder;
    final List<Codec> codecs = new ArrayList<>();

    Compression(Bundle bundle) {
        this.bundle = bundle;
    }

    /**
     * Reads it.
     *
     * @throws UsageException where the bundle brings nothing
     * @throws ManifestException or {@link VersionException} where it breaks the format
     */
    public static Compression of(Bundle bundle) {
        String path = bundle.manifest().compression;
        if (path.isEmpty()) throw Refusal.USAGE.because("the bundle cannot compress: it brings no entropy tables");
        JsonNode root = JsonParser.parse(bundle.read(path), path);
        if (root.get("version").integer() != 1) {
            throw root.get("version").refusal("is not 1: update aetool", Refusal.VERSION);
        }
        String data = root.get("data").text();
        BundlePath.check(data, path);
        if (!bundle.manifest().files.containsKey(data)) throw root.get("data").refusal("is not a listed file");
        return new CompressionReader(root, new ArrayFile(bundle.read(data))).read(new Compression(bundle));
    }

    /** Returns a sample's shape, without the batch; −1: free. */
    public long[] sampleShape() {
        return sampleShape.clone();
    }

    /** Returns the names of the codecs. */
    public List<String> codecNames() {
        List<String> names = new ArrayList<>();
        for (Codec codec : codecs) names.add(codec.name);
        return names;
    }
}
