/* A batch of images out of a data set that lives on the device: image n of the
 * result is the window rows[n] of an image of bytes, normalised by a table.
 * What the window is was drawn on the host (runtime/augment.h), so the numbers
 * are those of the cpu's loader.  A block for each image.
 *
 * rows   [8] of each: image (-1: zeros), y0, x0, step of x; top, left, bottom
 *        and right of a square of zeros
 * shape  c, h, w; strides of n, c, h, w in the result */
extern "C" __global__ void __launch_bounds__(256)
tgc_fetch(float *image, const int *rows, const unsigned char *pixels,
          const float *value, const int *shape)
{
    const int *row = rows + 8 * (long long)blockIdx.x;
    const int channels = shape[0], h = shape[1], w = shape[2];
    const int sample = row[0], y0 = row[1], x0 = row[2], step = row[3];
    const unsigned char *from =
        pixels + (long long)(sample < 0 ? 0 : sample) * channels * h * w;
    float *to = image + (long long)blockIdx.x * shape[3];
    for (int i = threadIdx.x; i < channels * h * w; i += 256) {
        const int c = i % channels, x = i / channels % w;
        const int y = i / channels / w;
        const int fy = y0 + y, fx = x0 + x * step;
        const bool inside = fy >= 0 && fy < h && fx >= 0 && fx < w;
        const bool cut = y >= row[4] && y < row[6] && x >= row[5] && x < row[7];
        const int byte = inside && sample >= 0 ? from[(c * h + fy) * w + fx] : 0;
        to[c * shape[4] + y * shape[5] + x * shape[6]] =
            cut || sample < 0 ? 0.0f : value[256 * c + byte];
    }
}

