package io.aetool;

import java.util.Locale;

/** How one output of one artifact compares with its golden vectors: FORMAT.md, section 5. */
public final class Check {
    private final String artifact;
    private final String tensor;
    private final String goldenCase;
    private final double worst;
    private final boolean passed;
    private final String error;

    Check(String artifact, String tensor, String goldenCase, double worst, boolean passed, String error) {
        this.artifact = artifact;
        this.tensor = tensor;
        this.goldenCase = goldenCase;
        this.worst = worst;
        this.passed = passed;
        this.error = error;
    }

    static Check failed(String artifact, String tensor, String goldenCase, String error) {
        return new Check(artifact, tensor, goldenCase, Double.NaN, false, error);
    }

    /** Returns role, format and precision. */
    public String artifact() {
        return artifact;
    }

    /** Returns the output's name; empty where the artifact could not run. */
    public String tensor() {
        return tensor;
    }

    /** Returns the golden case's name; empty where the artifact could not run. */
    public String goldenCase() {
        return goldenCase;
    }

    /** Returns the largest error as a share of what is allowed: above 1, or NaN, it fails. */
    public double worst() {
        return worst;
    }

    /** Returns the verdict. */
    public boolean passed() {
        return passed;
    }

    /** Returns why it could not run, or nothing. */
    public String error() {
        return error;
    }

    @Override
    public String toString() {
        String verdict = passed ? "ok" : "FAILED";
        return String.format(Locale.ROOT, "%-32s %-16s %-16s %s %.2g %s", artifact, tensor, goldenCase, verdict, worst, error).trim();
    }
}
