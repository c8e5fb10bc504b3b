/* fuzz_picture.c: any bytes as a JPEG or PNG file.  What is accepted is a
 * picture of a size within the limits, and can be made to fit. */
#include "picture.h"
#include <stdio.h>
#include <stdlib.h>

enum { C = 3, H = 5, W = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "fuzz_picture: %s\n", what);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const PictureFit fit = {C, H, W, true};
    uint8_t image[C * H * W];
    Status s = {0};
    PictureReader *p = picture_open(&s);
    require(p != NULL, "no memory");
    bool good = picture_decode(p, data, size, "input", &s);
    require(good != s.failed, "a failure without a sentence, or with no need");
    const Picture *x = picture_last(p);
    require(!good || (x->h > 0 && x->w > 0 && (x->c == 1 || x->c == 3) &&
                      x->h <= PICTURE_MOST_PIXELS / x->w),
            "a size that cannot be");
    /* A large one takes long to make small: not what is tested here. */
    if (good && x->h * x->w < 1 << 20)
        require(picture_fit(p, &fit, image, &s), "does not fit");
    picture_close(p);
    return 0;
}
