package io.aetool;

import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.regex.Pattern;

/** The paths that may stand in a bundle (FORMAT.md, section 2): none leaves it, none means two things on two systems. */
final class BundlePath {
    private static final int MOST = 240;
    private static final Pattern SEGMENT = Pattern.compile("[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_-])?");
    private static final Pattern DEVICE = Pattern.compile("(CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])(\\..*)?");

    private BundlePath() {}

    static void check(String path, String where) {
        if (!isSound(path)) throw Refusal.UNSAFE.because("a path could leave the bundle", where);
    }

    static boolean isSound(String path) {
        if (path.isEmpty() || path.length() > MOST) return false;
        for (String segment : path.split("/", -1)) {
            if (!SEGMENT.matcher(segment).matches()) return false;
            if (DEVICE.matcher(segment.toUpperCase(Locale.ROOT)).matches()) return false;
        }
        return true;
    }

    static String folded(String path) {
        return path.toLowerCase(Locale.ROOT);
    }

    /** The folder with no slash behind it; empty: the bundle's own. */
    static String folderOf(String path) {
        int slash = path.lastIndexOf('/');
        return slash < 0 ? "" : path.substring(0, slash);
    }

    static byte[] bytes(String path) {
        return path.getBytes(StandardCharsets.US_ASCII);
    }
}
