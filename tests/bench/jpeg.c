/* jpeg.c: what libjpeg-turbo alone does: every file read and decoded to red,
 * green, blue, by one thread.
 *
 *     bench_jpeg FILE...      pictures a second */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <jpeglib.h>

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void decode(struct jpeg_decompress_struct *info, FILE *file, JSAMPROW to)
{
    jpeg_stdio_src(info, file);
    jpeg_read_header(info, TRUE);
    info->out_color_space = JCS_RGB;
    jpeg_start_decompress(info);
    while (info->output_scanline < info->output_height)
        jpeg_read_scanlines(info, &to, 1);
    jpeg_finish_decompress(info);
}

int main(int argc, char **argv)
{
    struct jpeg_decompress_struct info;
    struct jpeg_error_mgr errors;
    JSAMPROW row = malloc(3 * 65536);
    double begin = seconds();
    info.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&info);
    for (int i = 1; row && i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (!file) {
            perror(argv[i]);
            return 1;
        }
        decode(&info, file, row);
        fclose(file);
    }
    jpeg_destroy_decompress(&info);
    free(row);
    printf("%.0f\n", (argc - 1) / (seconds() - begin));
    return 0;
}
