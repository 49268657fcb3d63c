/*
 * libqrencode finds the modules, libpng writes one bit per pixel. Called on workers and by the payer's pages.
 */
#include "http/qr.h"

#include <openssl/evp.h>
#include <png.h>
#include <qrencode.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"

enum { QUIET = 4, ROW_BYTES = QR_PIXELS / 8 };

/* Dark pixels are 0. The code is drawn as large as whole pixels per module allow, in the middle. */
static bool draw(const QRcode *code, uint8_t image[QR_PIXELS][ROW_BYTES])
{
    int scale = QR_PIXELS / (code->width + 2 * QUIET);
    if (scale < 2)
        scale = QR_PIXELS / (code->width + 2); /* a smaller quiet zone is better than an unreadable module */
    if (scale < 2)
        return false;
    int start = (QR_PIXELS - scale * code->width) / 2;
    memset(image, 0xff, QR_PIXELS * ROW_BYTES);
    for (int y = 0; y < code->width * scale; y++) {
        for (int x = 0; x < code->width * scale; x++) {
            if (!(code->data[(y / scale) * code->width + x / scale] & 1))
                continue;
            int at = start + x;
            image[start + y][at / 8] &= (uint8_t) ~(0x80 >> at % 8);
        }
    }
    return true;
}

static void write_bytes(png_structp png, png_bytep bytes, size_t n)
{
    buf_add(png_get_io_ptr(png), bytes, n);
}

static void flush_nothing(png_structp png)
{
    (void) png;
}

static bool encode(uint8_t image[QR_PIXELS][ROW_BYTES], struct buf *ret)
{
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (!info || setjmp(png_jmpbuf(png))) {
        png_destroy_write_struct(&png, &info);
        return false;
    }
    png_set_write_fn(png, ret, write_bytes, flush_nothing);
    png_set_IHDR(png, info, QR_PIXELS, QR_PIXELS, 1, PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (int y = 0; y < QR_PIXELS; y++)
        png_write_row(png, image[y]);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    return !ret->failed;
}

static const char *as_uri(const struct buf *png, struct arena *arena)
{
    static const char head[] = "data:image/png;base64,";
    char *uri = arena_alloc(arena, sizeof head + 4 * ((png->len + 2) / 3));
    if (!uri)
        return NULL;
    memcpy(uri, head, sizeof head - 1);
    EVP_EncodeBlock((unsigned char *) uri + sizeof head - 1, (const unsigned char *) png->data, (int) png->len);
    return uri;
}

const char *qr_data_uri(const char *text, struct arena *arena)
{
    uint8_t image[QR_PIXELS][ROW_BYTES];
    struct buf png = { 0 };
    QRcode *code = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_M);
    bool fine = code && draw(code, image) && encode(image, &png);
    const char *uri = fine ? as_uri(&png, arena) : NULL;
    if (code)
        QRcode_free(code);
    buf_free(&png);
    return uri;
}
