// The drawing pad: finger, mouse, or arrows and space. Also: any image source → values of a picture.

const BRUSH = 14;
const STRIDE = 8;

/** @param {HTMLCanvasElement} canvas */
export function makePad(canvas) {
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d', { willReadFrequently: true }));
  const at = { x: canvas.width / 2, y: canvas.height / 2 };
  const clear = () => {
    context.fillStyle = '#000';
    context.fillRect(0, 0, canvas.width, canvas.height);
  };
  /** @param {number} x @param {number} y @param {boolean} paints */
  const moveTo = (x, y, paints) => {
    context.strokeStyle = '#fff';
    context.lineWidth = BRUSH;
    context.lineCap = 'round';
    if (paints) {
      context.beginPath();
      context.moveTo(at.x, at.y);
      context.lineTo(x, y);
      context.stroke();
    }
    Object.assign(at, { x, y });
    canvas.setAttribute('aria-label', `Drawing pad, at ${Math.round(x)}, ${Math.round(y)}`);
  };
  canvas.addEventListener('pointerdown', (event) => canvas.setPointerCapture(event.pointerId));
  for (const kind of /** @type {const} */ (['pointerdown', 'pointermove'])) {
    canvas.addEventListener(kind, (event) => {
      const scale = canvas.width / canvas.clientWidth;
      const [x, y] = [event.offsetX * scale, event.offsetY * scale];
      if (kind === 'pointerdown') Object.assign(at, { x, y });
      if (event.buttons) moveTo(x, y, true);
    });
  }
  let isPainting = false;
  canvas.addEventListener('keydown', (event) => {
    /** @type {Record<string, [number, number]>} */
    const ways = { ArrowLeft: [-STRIDE, 0], ArrowRight: [STRIDE, 0], ArrowUp: [0, -STRIDE], ArrowDown: [0, STRIDE], ' ': [0, 0] };
    const way = ways[event.key];
    if (!way) return;
    event.preventDefault();
    if (event.key === ' ') isPainting = true;
    const inside = (/** @type {number} */ value) => Math.min(Math.max(value, 0), canvas.width);
    moveTo(inside(at.x + way[0]), inside(at.y + way[1]), isPainting);
  });
  canvas.addEventListener('keyup', (event) => (isPainting &&= event.key !== ' '));
  canvas.addEventListener('blur', () => (isPainting = false));
  clear();
  return { clear };
}

/**
 * Resized to the picture, values from range[0] (black) to range[1] (white).
 * @param {CanvasImageSource} source @param {{height: number, width: number, channels: number}} picture @param {number[]} range
 */
export function valuesOfPicture(source, { height, width, channels }, [least, most]) {
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (new OffscreenCanvas(width, height).getContext('2d'));
  context.imageSmoothingQuality = 'high';
  context.drawImage(source, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  return Float32Array.from({ length: height * width * channels }, (_, i) => {
    const [pixel, c] = [4 * Math.floor(i / channels), i % channels];
    const gray = 0.299 * data[pixel] + 0.587 * data[pixel + 1] + 0.114 * data[pixel + 2]; // ITU-R BT.601
    return least + ((channels >= 3 ? data[pixel + c] : gray) / 255) * (most - least);
  });
}
