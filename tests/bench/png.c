/* png.c: what libpng alone does: every file read and decoded to red, green,
 * blue, by one thread.
 *
 *     bench_png FILE...      pictures a second */
#include <png.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void decode(FILE *file, png_bytep row)
{
    png_structp png =
        png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_init_io(png, file);
    png_read_info(png, info);
    png_set_expand(png);
    png_set_strip_alpha(png);
    png_read_update_info(png, info);
    for (png_uint_32 y = 0; y < png_get_image_height(png, info); y++)
        png_read_row(png, row, NULL);
    png_read_end(png, NULL);
    png_destroy_read_struct(&png, &info, NULL);
}

int main(int argc, char **argv)
{
    png_bytep row = malloc(4 * 65536);
    double begin = seconds();
    for (int i = 1; row && i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (!file) {
            perror(argv[i]);
            return 1;
        }
        decode(file, row);
        fclose(file);
    }
    free(row);
    printf("%.0f\n", (argc - 1) / (seconds() - begin));
    return 0;
}
