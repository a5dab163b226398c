// What is shown: pictures, curves, bars. Pictures: values of `range`, [height, width, 1 or 3].

const COLORS = ['#0b5394', '#b45309', '#166534', '#7c2d92', '#9f1239', '#334155'];

/** @param {readonly number[]} shape of a sample */
export function pictureOf(shape) {
  if (shape.length === 3) return { height: shape[0], width: shape[1], channels: shape[2] };
  if (shape.length === 2) return { height: shape[0], width: shape[1], channels: 1 };
  const size = shape.reduce((all, n) => all * n, 1);
  const side = Math.sqrt(size);
  return Number.isInteger(side) ? { height: side, width: side, channels: 1 } : { height: 1, width: size, channels: 1 };
}

/** @param {ArrayLike<number>} values */
export function rangeOf(values) {
  let [least, most] = [Infinity, -Infinity];
  for (let i = 0; i < values.length; i++) {
    least = Math.min(least, values[i]);
    most = Math.max(most, values[i]);
  }
  return most > least ? [least, most] : [least - 0.5, least + 0.5];
}

/** @param {HTMLCanvasElement} canvas */
function clean(canvas) {
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  context.fillStyle = '#fff';
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingEnabled = false;
  return context;
}

/** @param {HTMLCanvasElement} canvas @param {Float32Array} values @param {readonly number[]} shape @param {number[]} range */
export function showPicture(canvas, values, shape, [least, most]) {
  const { height, width, channels } = pictureOf(shape);
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) {
      const value = values[i * channels + (channels >= 3 ? c : 0)];
      image.data[4 * i + c] = (255 * (value - least)) / (most - least);
    }
    image.data[4 * i + 3] = 255;
  }
  const small = new OffscreenCanvas(width, height);
  /** @type {OffscreenCanvasRenderingContext2D} */ (small.getContext('2d')).putImageData(image, 0, 0);
  const context = clean(canvas);
  const scale = Math.min(canvas.width / width, canvas.height / height);
  context.drawImage(small, (canvas.width - width * scale) / 2, (canvas.height - height * scale) / 2, width * scale, height * scale);
}

/** One curve per channel. @param {HTMLCanvasElement} canvas @param {ArrayLike<number>} values @param {number} channels @param {number[]} range */
export function showCurves(canvas, values, channels, [least, most]) {
  const context = clean(canvas);
  const rows = values.length / channels;
  for (let c = 0; c < channels; c++) {
    context.strokeStyle = COLORS[c % COLORS.length];
    context.lineWidth = 1.5;
    context.beginPath();
    for (let i = 0; i < rows; i++) {
      const x = 4 + (i / Math.max(1, rows - 1)) * (canvas.width - 8);
      context.lineTo(x, 4 + (1 - (values[i * channels + c] - least) / (most - least)) * (canvas.height - 8));
    }
    context.stroke();
  }
}

/** @param {HTMLCanvasElement} canvas @param {Float32Array} values */
export function showBars(canvas, values) {
  const context = clean(canvas);
  const most = Math.max(1e-9, ...rangeOf(values).map(Math.abs));
  const [middle, width] = [canvas.height / 2, canvas.width / values.length];
  context.fillStyle = COLORS[0];
  values.forEach((value, i) => {
    const height = (value / most) * (middle - 4);
    context.fillRect(i * width + width * 0.1, middle - Math.max(0, height), Math.max(1, width * 0.8), Math.max(1, Math.abs(height)));
  });
  context.fillStyle = '#16202a';
  context.fillRect(0, middle, canvas.width, 1);
}
